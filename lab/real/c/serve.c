/* Answers every connection with one page, until it is told to end. */

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char page[] =
    "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nc says hello\n";

static void end(int number)
{
    (void)number;
    _exit(0);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int server = socket(AF_INET, SOCK_STREAM, 0);
    int yes = 1;

    signal(SIGTERM, end);
    address.sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 8000));
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 16)) {
        perror("serve");
        return 1;
    }
    for (;;) {
        char request[4096];
        int client = accept(server, NULL, NULL);

        if (client < 0)
            continue;
        if (read(client, request, sizeof request) > 0 &&
            write(client, page, strlen(page)) < 0)
            perror("serve");
        close(client);
    }
}

"""What a box has besides the cell's root: its initrd's script, ssh, an address, and Vagrant's user.

Vagrant's convention (Vagrant documentation, "Creating a Base Box"): a user `vagrant` that may
become root without a password, and Vagrant's well-known insecure key.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.bake import initrd
from lab.cells import Cell

PACKAGES = ("openssh-server", "sudo")
"""What the cell's root has not got and Vagrant wants; the rest is in the root."""

STORE = "store"
"""The serial number of the disk that a machine writes on."""

INIT = (
    rf"""#!/bin/sh
# The disk `{STORE}` is known by its serial number; the other one is the box, which stays as it is.
"""
    + initrd.BEGIN
    + rf"""root= disk=
for try in 1 2 3 4 5 6 7 8 9 10; do
  for entry in /sys/block/vd*; do
    case $(cat "$entry/serial") in
      {STORE}) disk=/dev/${{entry##*/}} ;;
      *) root=/dev/${{entry##*/}} ;;
    esac
  done
  [ "$root" ] && [ "$disk" ] && break
  sleep 0.2
done
[ "$disk" ] || die "there is no disk with the serial number {STORE}"
store=ext4 firewall=nft
for word in $(cat /proc/cmdline); do
  case $word in
    lading.store=*) store=${{word#*=}} ;;
    lading.firewall=*) firewall=${{word#*=}} ;;
  esac
done
mount -t erofs -o ro "$root" /lower || die "the root can not be mounted"
if ! mount -t "$store" "$disk" /store 2> /dev/null; then
  # A new machine's disk is empty. mkfs.xfs looks in /proc for what is mounted.
  for name in dev proc; do mount --bind "/$name" "/lower/$name"; done
  case $store in
    ext4) options="-q -E lazy_itable_init=0,lazy_journal_init=0" ;;
    xfs | btrfs) options="-q" ;;
  esac
  chroot /lower "/sbin/mkfs.$store" $options "$disk" || die "mkfs.$store failed"
  for name in dev proc; do umount "/lower/$name"; done
  mount -t "$store" "$disk" /store || die "the store can not be mounted"
fi
"""
    + initrd.OVERLAY
    + initrd.STATE
    + initrd.END
)

_DHCP = """#!/bin/sh
# What udhcpc found: see `busybox udhcpc --help` for the names.
case $1 in
  deconfig)
    ip address flush dev "$interface"
    ip link set "$interface" up
    ;;
  bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    [ -z "$router" ] || ip route replace default via "${router%% *}" dev "$interface"
    : > /etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done
    ;;
esac
"""
_CLIENT = "/usr/bin/busybox udhcpc -f -i eth0 -s /usr/lib/lading/dhcp -T 1 -A 2"
_ADDRESS = f"""[Unit]
Description=Address of the lab's machine
DefaultDependencies=no
After=systemd-remount-fs.service systemd-udevd.service
Conflicts=shutdown.target
Before=shutdown.target

[Service]
ExecStart={_CLIENT}
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""
# What the agent's service has in machines that QEMU runs: scenarios are run through either.
_AS_AGENT = """[Service]
KillMode=process
OOMScoreAdjust=-1000
TasksMax=infinity
LimitNOFILE=1048576
"""
_SSHD = "UseDNS no\nAcceptEnv LANG\nPermitRootLogin no\n"
_SUDO = "Defaults:vagrant !requiretty, env_reset\nvagrant ALL=(ALL:ALL) NOPASSWD: ALL\n"
_INSECURE_KEY = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltG"
    "EFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSI"
    "Fo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NO"
    "Td0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8t"
    "ehUc9c9WhQ== vagrant insecure public key\n"
)

SETUP = f"""set -e
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get -qq -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 update
apt-get -qq -o APT::Install-Recommends=false install {" ".join(PACKAGES)}
rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
useradd --create-home --shell /bin/bash --password '*' vagrant
mkdir -m 700 /home/vagrant/.ssh
mv /etc/lading-vagrant-key /home/vagrant/.ssh/authorized_keys
chmod 600 /home/vagrant/.ssh/authorized_keys
chown -R vagrant: /home/vagrant/.ssh
"""
"""Run in the tree by its own shell, as root and with a network."""


def files(cell: Cell) -> Mapping[str, tuple[str, int]]:
    """Files of the tree by path: their text and mode. What is there already is replaced."""
    common = {
        "usr/lib/lading/dhcp": (_DHCP, 0o755),
        "etc/ssh/sshd_config.d/lading.conf": (_SSHD, 0o644),
        "etc/sudoers.d/vagrant": (_SUDO, 0o440),
        "etc/lading-vagrant-key": (_INSECURE_KEY, 0o600),
    }
    if cell.init != "systemd":
        return common
    return common | {
        "etc/systemd/system/lading-address.service": (_ADDRESS, 0o644),
        "etc/systemd/system/ssh.service.d/lading.conf": (_AS_AGENT, 0o644),
    }


def services(init: str) -> str:
    """Lines for the tree's shell: an address and ssh with the boot, and no agent without its line.

    The agent waits for a port that machines of this driver do not have.
    """
    if init == "systemd":
        wants = "/etc/systemd/system/multi-user.target.wants"
        return (
            f"rm {wants}/lading-agent.service\n"
            f"ln -s ../lading-address.service {wants}/lading-address.service\n"
        )
    return f"sed -i '/^la:/d' /etc/inittab\necho 'ld:2:respawn:{_CLIENT}' >> /etc/inittab\n"


def vagrantfile(command_line: str, memory: int) -> str:
    """The Vagrantfile in the box, which others add to; `memory` in MiB."""
    return f"""# What machines of this box need under libvirt, whatever Vagrantfile uses it.
Vagrant.configure("2") do |config|
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.ssh.insert_key = false
  config.vm.boot_timeout = 600
  config.vm.provider :libvirt do |libvirt|
    libvirt.kernel = File.expand_path("vmlinux", __dir__)
    libvirt.initrd = File.expand_path("initrd", __dir__)
    libvirt.cmd_line = "{command_line}"
    libvirt.machine_type = "q35"
    libvirt.memory = {memory}
    libvirt.graphics_type = "none"
    libvirt.memballoon_enabled = false
    libvirt.random model: "random"
    libvirt.storage :file, size: "8G", type: "qcow2", serial: "{STORE}"
  end
end
"""

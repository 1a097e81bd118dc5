"use strict";

const express = require("express");

const app = express();
app.get("/", (_request, response) => response.send(`node says hello in ${process.env.NODE_ENV}\n`));
app.listen(process.env.PORT);

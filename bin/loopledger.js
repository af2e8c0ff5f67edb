#!/usr/bin/env node
// Node 20 runs no TypeScript: this loads the built command line.
import { main } from "../dist/cli/main.js";

process.exitCode = await main(process.argv.slice(2));

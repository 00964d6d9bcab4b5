#!/usr/bin/env node
// The command of openstack's pypi-mirror: `wheelcellar run-mirror` under its own name.
import process from 'node:process';

process.argv.splice(2, 0, 'run-mirror');
await import('./wheelcellar.js');

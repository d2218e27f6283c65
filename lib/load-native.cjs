'use strict';

// Everything here is required by a plain name, so that bundlers find it. It is a function because Node 20 ends the process,
// whatever a program catches, if a CommonJS module throws while it is imported.

exports.loadNative = () => require('../binding.cjs');
exports.packageVersion = () => require('../package.json').version;

// SPDX-License-Identifier: Apache-2.0
#pragma once

// The library has two forms (docs/performance.md). Headers alone are the one that needs nothing else. In a program that
// defines CROSSDOCK_COMPILED and links crossdock::compiled, the headers of plugins and of the pipeline only declare
// their entry points, and what is behind these is not read.

/// Stands before the definition of an entry point: the compiled library holds it, and in all other places it is inline.
#ifdef CROSSDOCK_LIBRARY
#define CROSSDOCK_ENTRY_POINT
#else
#define CROSSDOCK_ENTRY_POINT inline
#endif

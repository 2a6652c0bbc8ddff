// SPDX-License-Identifier: Apache-2.0
// Nothing but a home for the precompiled header of the tests.

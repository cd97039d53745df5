// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! How many rows a second a sender writes that all receivers have read: sealed, and not.

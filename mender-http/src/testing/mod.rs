//! Test doubles and tools.

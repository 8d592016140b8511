//! Seeded bugs are found.

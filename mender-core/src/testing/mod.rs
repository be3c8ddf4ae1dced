//! Doubles for tests: faults on demand, virtual time, and the contract suite for adapters.

mod env;
mod faulty;

pub use env::TestEnv;
pub use faulty::{Call, Faults, Faulty};

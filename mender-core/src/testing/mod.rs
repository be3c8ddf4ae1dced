//! Doubles for tests: faults on demand, virtual time, a device, and the contract suite for
//! adapters.

mod device;
mod env;
mod faulty;

pub use device::TestDevice;
pub use env::TestEnv;
pub use faulty::{Call, Faults, Faulty};

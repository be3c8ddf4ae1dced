//! Doubles for tests: faults on demand, virtual time, devices, and the contract suite for
//! adapters.

mod artifacts;
mod auth;
pub mod blobs;
pub mod bus;
pub mod contract;
mod deployments;
mod device;
mod env;
mod faulty;
mod fixtures;
mod fleet;
pub mod hostile;
mod inventory;
pub mod inventory_queries;
mod kernel;
mod lockstep;
pub mod release_queries;
pub mod suite;
mod tenants;
mod users;

pub use crate::simulated::{Act, Answer, Chances, Logic, Profile, Simulated, State, Update};
pub use device::TestDevice;
pub use env::TestEnv;
pub use faulty::{Call, Faults, Faulty};
pub use fleet::{Carry, Courier, Fleet, Member, Step};
pub use lockstep::lockstep;

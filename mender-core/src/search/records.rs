//! What deployments did on devices, as records that reports are about.

mod best;
mod condition;
mod field;

pub(super) use best::Best;
pub use condition::{Condition, InvalidCondition};
pub use field::Field;

use std::sync::Arc;

use crate::{
    deployments::{Deployment, DeploymentId, ShownDevice},
    id::{DeviceId, TenantId},
    inventory::Value,
};

/// A device in a deployment, once they have met.
#[derive(Clone, Debug)]
pub struct DeviceRecord {
    /// Whose it is.
    pub tenant: TenantId,
    /// The deployment.
    pub deployment: Arc<Deployment>,
    /// The device.
    pub device: ShownDevice,
}

impl DeviceRecord {
    /// Returns what a field holds; `None`: nothing.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<Value> {
        match field {
            Field::TenantId => Some(Value::Text(self.tenant.to_string())),
            _ if field.is_of_deployment() => field.of_deployment(&self.deployment),
            _ => field.of_device(&self.device),
        }
    }
}

/// A search for records. Everything that is given must fit.
#[derive(Clone, Debug, Default)]
pub struct RecordSearch {
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// The order: fields, and whether the greatest come first. What has no value comes last.
    pub sort: Vec<(Field, bool)>,
    /// Only those of these devices.
    pub devices: Option<Vec<DeviceId>>,
    /// Only those of these deployments.
    pub deployments: Option<Vec<DeploymentId>>,
}

/// Records that were found.
#[derive(Clone, Debug, Default)]
pub struct FoundRecords {
    /// Those of the page.
    pub records: Vec<DeviceRecord>,
    /// How many fit.
    pub total: u64,
}

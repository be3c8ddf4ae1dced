use serde::{Deserialize, Serialize};

use crate::{
    deployments::model::{DeploymentId, Status},
    event::Fact,
    id::DeviceId,
};

/// What happens to deployments.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum DeploymentEvent {
    /// A deployment was created.
    #[serde(rename = "deployment.created")]
    Created {
        /// The deployment.
        id: DeploymentId,
        /// Its name.
        name: String,
        /// The name of the release.
        artifact_name: String,
    },
    /// A deployment ended.
    #[serde(rename = "deployment.finished")]
    Finished {
        /// The deployment.
        id: DeploymentId,
        /// A user ended it.
        aborted: bool,
    },
    /// A device reached a final status.
    #[serde(rename = "deployment.device_ended")]
    DeviceEnded {
        /// The deployment.
        id: DeploymentId,
        /// The device.
        device: DeviceId,
        /// The status.
        status: Status,
    },
    /// A device joins a dynamic deployment.
    #[serde(rename = "deployment.device_joined")]
    DeviceJoined {
        /// The deployment.
        id: DeploymentId,
        /// The device.
        device: DeviceId,
    },
    /// A device begins a deployment anew.
    #[serde(rename = "deployment.device_again")]
    DeviceAgain {
        /// The deployment.
        id: DeploymentId,
        /// The device.
        device: DeviceId,
    },
}

impl Fact for DeploymentEvent {}

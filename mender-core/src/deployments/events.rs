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
    /// No further device begins, for now.
    #[serde(rename = "deployment.paused")]
    Paused {
        /// The deployment.
        id: DeploymentId,
        /// A threshold was passed; otherwise a user wanted it.
        by_threshold: bool,
    },
    /// Devices begin again.
    #[serde(rename = "deployment.resumed")]
    Resumed {
        /// The deployment.
        id: DeploymentId,
    },
    /// A phase may begin.
    #[serde(rename = "deployment.phase_approved")]
    PhaseApproved {
        /// The deployment.
        id: DeploymentId,
        /// The phase.
        phase: String,
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

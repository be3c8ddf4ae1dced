use std::time::Duration;

use mender_core::deployments;

use crate::settings::value::Selection;

settings! {
    "Deployments":
    /// How deployments behave.
    pub(crate) struct Deployments {
        /// What must fit for a device to get an artifact: depends, all that it depends on;
        /// device-type, nothing but the type.
        artifact_selection: Selection = "depends",
        /// For how long devices may fetch what they were told to install.
        update_expires: Duration = "24h",
        /// For how long devices may fetch a configuration.
        configuration_expires: Duration = "15m",
        /// How many deployments of software a tenant may have that have not ended; empty: no
        /// limit.
        max_active_deployments: Option<u64> = "",
    }
}

impl Deployments {
    /// Returns how deployments behave.
    pub(crate) fn config(&self) -> deployments::Config {
        deployments::Config {
            selection: self.artifact_selection.0,
            link_expires: self.update_expires,
            configuration_expires: self.configuration_expires,
            max_active: self.max_active_deployments,
        }
    }
}

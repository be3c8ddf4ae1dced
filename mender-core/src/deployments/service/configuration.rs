use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Course, Service, create::check_names, is_duplicate, not_found};
use crate::{
    artifacts::format::{Compression, Recipe},
    ctx::Ctx,
    deployments::model::{Audience, Conduct, Deployment, DeploymentId, Payload, State},
    env::Time,
    error::{Error, Result},
    id::{DeviceId, TenantId, Version},
    token::Numbered,
};

/// What is wanted of a deployment of a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewConfiguration {
    /// Its id.
    pub id: DeploymentId,
    /// For which device it is.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// The configuration, as JSON text.
    pub configuration: String,
    /// How often the device tries again where it failed.
    pub retries: u32,
    /// Where the device waits for a word, as it understands it.
    pub control_map: Option<Map<String, Value>>,
}

/// Where a device fetches a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigurationLink {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The type of the device.
    pub device_type: String,
    /// The device.
    pub device: DeviceId,
}

/// What the signature of a link says.
#[derive(Serialize, Deserialize)]
struct Claims {
    tenant: TenantId,
    deployment: DeploymentId,
    device_type: String,
    device: DeviceId,
    exp: i64,
}

impl Service {
    /// Signs a link to a configuration: until when it is good, and the signature.
    ///
    /// # Errors
    /// None of the input's.
    pub fn sign_configuration(&self, ctx: &Ctx, link: ConfigurationLink) -> Result<(Time, String)> {
        let until = self.now() + self.config.configuration_expires;
        let ConfigurationLink { deployment, device_type, device } = link;
        let (tenant, exp) = (ctx.tenant.clone(), until.seconds());
        let claims = Claims { tenant, deployment, device_type, device, exp };
        Ok((Time::from_seconds(exp), self.keys.sign(Numbered::No, &claims)?))
    }

    /// Returns the artifact that a signed link leads to.
    ///
    /// # Errors
    /// `Forbidden` for a link that is not ours or has expired, `NotFound`, and those of the store.
    pub async fn configuration(
        &self,
        tenant: &TenantId,
        link: &ConfigurationLink,
        until: Time,
        signature: &str,
    ) -> Result<Vec<u8>> {
        if until < self.now() {
            return Err(Error::forbidden("URL expired"));
        }
        let claims: Option<Claims> = self.keys.verify(Numbered::No, signature);
        let fits = |claims: &Claims| {
            claims.tenant == *tenant
                && claims.deployment == link.deployment
                && claims.device_type == link.device_type
                && claims.device == link.device
                && claims.exp == until.seconds()
        };
        if !claims.as_ref().is_some_and(fits) {
            return Err(Error::forbidden("signature invalid"));
        }
        let deployment = self.store.deployment(tenant, &link.deployment).await?;
        let unknown =
            || Error::not_found(format!("deployment with id '{}' not found", link.deployment));
        let Deployment { payload, artifact_name, .. } = deployment.ok_or_else(unknown)?;
        let Payload::Configuration(text) = payload else { return Err(not_found()) };
        let broken = |error| Error::internal("the configuration is no object").because(error);
        let configuration: Map<String, Value> = serde_json::from_str(&text).map_err(broken)?;
        let recipe = Recipe::configuration(&artifact_name, &link.device_type, configuration);
        let unwritable = |error| Error::internal("no artifact can be made of it").because(error);
        recipe.packed(Compression::None).build(&[], None).map_err(unwritable)
    }

    /// Creates a deployment that brings a configuration to a device.
    ///
    /// # Errors
    /// `Invalid` for bad names, `Conflict` where the id is taken, `Forbidden` for users who may not
    /// reach the device, and those of the stores.
    pub async fn configure(&self, ctx: &Ctx, new: NewConfiguration) -> Result<()> {
        let NewConfiguration { id, device, name, configuration, retries, control_map } = new;
        check_names(&name, &name)?;
        self.check_device(ctx, &device).await?;
        if configuration.contains('\0') {
            return Err(Error::invalid("configuration", "U+0000 can't be kept"));
        }
        let course = Course { retries, control_map, ..Course::default() };
        let rollout = self.rollout(&id, course, 1)?;
        let devices = vec![device];
        let groups = self.groups_of(ctx, &Audience::Devices, &devices).await?;
        let deployment = Deployment {
            id,
            artifact_name: name.clone(),
            name,
            force_installation: false,
            payload: Payload::Configuration(configuration),
            audience: Audience::Devices,
            groups,
            fingerprint: None,
            max_devices: 1,
            rollout,
            conduct: Conduct::default(),
            ticket: self.kernel.env().uuid(),
            created: Time(0),
            state: State::Filling,
            finished: None,
            artifacts: Vec::new(),
            tally: None,
            version: Version::FIRST,
        };
        let taken = || Error::conflict("Deployment with given ID already exists");
        if self.store.deployment(&ctx.tenant, &deployment.id).await?.is_some() {
            return Err(taken());
        }
        let placed = self.place(ctx, deployment, devices).await;
        placed
            .map(drop)
            .map_err(|error| if is_duplicate(&error) || error.is_stale() { taken() } else { error })
    }
}

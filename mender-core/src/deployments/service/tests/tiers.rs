//! What devices of which tier get.

use super::*;
use crate::{
    auth::{self, Tier},
    deployments::{Reason, logic::MANIFEST},
    testing::TestDevice,
};

impl World {
    async fn with_tiers(tiers: bool) -> Self {
        let config = auth::Config { tiers, ..auth::Config::default() };
        let w = Self::built(1, |builder| builder.auth_config(config)).await;
        let files = vec![FileRecipe::new("manifest.yaml", 1)];
        let recipe = Recipe::module(MANIFEST, "m", ["plant"], files, Some(&Software::default()));
        w.upload(recipe, b"x").await;
        w
    }

    /// An accepted device of a tier.
    async fn of_tier(&self, tier: Tier) -> DeviceId {
        let identity = format!(r#"{{"mac":"{}"}}"#, tier.as_str());
        let device = TestDevice::new(&identity, tier as u64).of_tier(tier);
        let auth = self.mender.auth();
        auth.preauthorize(&self.ctx, &device.preauthorization(false)).await.unwrap();
        let token = auth.request("", &device.request()).await.unwrap();
        auth.verify(&token, "").await.unwrap().device
    }

    async fn orders(&self, release: &str, devices: Vec<DeviceId>) -> DeploymentId {
        let new = NewDeployment {
            name: release.into(),
            artifact_name: release.into(),
            force_installation: false,
            whom: Whom::Devices(devices),
            course: Course::default(),
        };
        self.service().create(&self.ctx, new).await.unwrap()
    }

    /// Tells whether a device of this type is told to install something.
    async fn asks(&self, device: &DeviceId, device_type: &str) -> bool {
        let request = Request {
            artifact_name: "old".into(),
            device_type: device_type.into(),
            ..Request::default()
        };
        self.service().next(&self.ctx, device, &request, "http://x").await.unwrap().is_some()
    }

    /// Says what would be decided about the only deployment of a device, and what was.
    async fn why(&self, device: &DeviceId) -> (Reason, Option<Reason>) {
        let explained = self.service().explain(&self.ctx, device).await.unwrap();
        let [only] = &explained.considered[..] else { panic!("{explained:?}") };
        (only.reason, only.last.map(|last| last.reason))
    }
}

#[tokio::test]
async fn microcontrollers_get_nothing_large() {
    let w = World::with_tiers(true).await;
    let (micro, standard) = (w.of_tier(Tier::Micro).await, w.of_tier(Tier::Standard).await);
    let first = w.orders("r", vec![standard.clone()]).await;
    assert!(w.asks(&standard, "pump").await);
    let size = w.service().deployment(&w.ctx, &first).await.unwrap().tally.bytes;
    w.service().abort(&w.ctx, &first).await.unwrap();
    assert_eq!(w.service().micro_limit(&w.ctx).await.unwrap(), Some(5 << 20));
    let limit = |limit: u64| w.service().limit_micro(&w.ctx, limit.try_into().unwrap());
    limit(size - 1).await.unwrap();
    assert_eq!(w.service().micro_limit(&w.ctx).await.unwrap(), Some(size - 1));

    let id = w.orders("r", vec![micro.clone(), standard.clone()]).await;
    assert!(w.asks(&standard, "pump").await);
    // What a device was given stays its own.
    assert!(!w.asks(&micro, "pump").await && w.asks(&standard, "pump").await);
    assert_eq!(w.counts(&id).await, [(Status::Pending, 1), (Status::ArtifactTooBig, 1)]);
    assert_eq!(w.why(&micro).await, (Reason::ArtifactTooBig, Some(Reason::ArtifactTooBig)));
    let row = w.service().store.device_deployment(&w.ctx.tenant, &id, &micro).await;
    let row = row.unwrap().unwrap();
    assert_eq!((row.artifact, row.bytes, row.finished.is_some()), (None, 0, true));
    let reports =
        async |device: &DeviceId, status| w.service().report(&w.ctx, &id, device, status, "").await;
    let refused = reports(&standard, Status::ArtifactTooBig).await;
    assert!(matches!(refusal(refused).0, Kind::Invalid { .. }));
    reports(&standard, Status::Success).await.unwrap();
    assert_eq!(w.state(&id).await, (State::Closed, Progress::Finished));

    for allowed in [i64::try_from(size).unwrap(), -1] {
        w.service().limit_micro(&w.ctx, allowed).await.unwrap();
        let id = w.orders("r", vec![micro.clone()]).await;
        assert!(w.asks(&micro, "pump").await, "{allowed}");
        w.service().abort(&w.ctx, &id).await.unwrap();
    }
    limit(0).await.unwrap();
    w.orders("r", vec![micro.clone()]).await;
    assert!(!w.asks(&micro, "pump").await);
}

#[tokio::test]
async fn manifests_are_for_devices_of_the_system_tier() {
    let w = World::with_tiers(true).await;
    let (micro, standard) = (w.of_tier(Tier::Micro).await, w.of_tier(Tier::Standard).await);
    let system = w.of_tier(Tier::System).await;
    let all = [micro.clone(), standard.clone(), system.clone()];
    let id = w.orders("m", all.to_vec()).await;
    for (device, gets) in [(&micro, false), (&standard, false), (&system, true)] {
        assert_eq!(w.asks(device, "plant").await, gets, "{device}");
    }
    for device in [&micro, &standard] {
        let reason = Reason::IncompatibleTier;
        assert_eq!(w.why(device).await, (reason, Some(reason)));
    }
    assert_eq!(w.counts(&id).await, [(Status::Pending, 1), (Status::IncompatibleTier, 2)]);
    // A device may find out by itself.
    let report = w.service().report(&w.ctx, &id, &system, Status::IncompatibleTier, "").await;
    report.unwrap();
    assert_eq!(w.counts(&id).await, [(Status::IncompatibleTier, 3)]);
    assert_eq!(w.state(&id).await, (State::Closed, Progress::Finished));
    assert_eq!(w.why(&system).await.0, Reason::IncompatibleTier);
    // Anything else is for them too.
    w.orders("r", vec![system.clone()]).await;
    assert!(w.asks(&system, "pump").await);
}

#[tokio::test]
async fn where_there_are_no_tiers_every_device_is_standard() {
    let w = World::with_tiers(false).await;
    let device = w.of_tier(Tier::Micro).await;
    w.service().limit_micro(&w.ctx, 0).await.unwrap();
    let first = w.orders("r", vec![device.clone()]).await;
    assert!(w.asks(&device, "pump").await);
    w.service().abort(&w.ctx, &first).await.unwrap();
    w.orders("m", vec![device.clone()]).await;
    assert!(!w.asks(&device, "plant").await);
}

pub(super) mod events;
pub(super) mod feed;
pub(super) mod jobs;
pub(super) mod lanes;
pub(super) mod quotas;

//! The devices that are measured: 30 attributes each.

use mender_core::{
    DeviceId, Time,
    inventory::{AttributeName, Device, Place, Value, name},
};

use crate::Fault;

pub(crate) fn id(n: usize) -> Result<DeviceId, Fault> {
    Ok(format!("{:08x}-{:04x}-7000-8000-0000{n:08x}", n >> 8, n & 0xff).parse()?)
}

/// Something between 0 and `bound` that looks random.
pub(crate) fn mixed(n: usize, salt: usize, bound: usize) -> usize {
    let mut z = (n as u64 ^ (salt as u64) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    usize::try_from((z >> 32) % bound as u64).unwrap_or_default()
}

/// What device `n` reports: 24 attributes of all kinds.
pub(crate) fn reported(n: usize) -> Vec<(String, Value)> {
    let text = |name: &str, value: String| (name.to_owned(), Value::Text(value));
    let number = |name: &str, value: usize| (name.to_owned(), Value::Number(value as f64));
    let mut all = vec![
        text("device_type", format!("board-{}", mixed(n, 1, 10))),
        text("artifact_name", format!("release-2.{}", mixed(n, 2, 5))),
        text("rootfs-image.version", format!("2.{}", mixed(n, 2, 5))),
        text("mac", format!("52:54:{:02x}:{:02x}:{:04x}", n >> 24, n >> 16 & 0xff, n & 0xffff)),
        text("region", format!("region-{}", mixed(n, 3, 50))),
        text("city", format!("city-{}", mixed(n, 4, 5000))),
        text("hostname", format!("host-{n}")),
        text("kernel", format!("Linux 6.1.{}", mixed(n, 5, 100))),
        text("os", format!("Debian {}", mixed(n, 6, 4))),
        text("cpu_model", format!("Cortex-A{}", mixed(n, 7, 8))),
        (
            "network_interfaces".to_owned(),
            Value::Texts(["eth0", "wlan0", "usb0"].map(str::to_owned)[..=mixed(n, 8, 3)].to_vec()),
        ),
        number("mem_total_kB", (mixed(n, 9, 8) + 1) << 19),
        number("cpu_temperature", mixed(n, 10, 90)),
        number("disk_free_kB", mixed(n, 11, 1 << 24)),
        number("uptime", mixed(n, 12, 1 << 22)),
    ];
    all.extend((0..9).map(|k| text(&format!("app_{k}"), format!("1.{}", mixed(n, 20 + k, 30)))));
    all
}

pub(crate) fn device(n: usize) -> Result<Device, Fault> {
    let at = Time(1_700_000_000_000 + i64::try_from(n)? * 10);
    let mut device = Device::new(id(n)?, Place::new(at, n as u64), at);
    let mut set = |name: AttributeName, value: Value| device.attributes.set(&name, value.into());
    for (name, value) in reported(n) {
        set(AttributeName::inventory(name), value);
    }
    let status = if n.is_multiple_of(10) { "pending" } else { "accepted" };
    set(AttributeName::identity(name::STATUS), Value::Text(status.into()));
    set(AttributeName::identity("sn"), Value::Text(format!("SN-{n:09}")));
    set(AttributeName::system(name::UPDATED), Value::Time(at));
    set(AttributeName::system(name::SEEN), Value::Time(at));
    if !n.is_multiple_of(4) {
        let group = format!("group-{}", mixed(n, 13, 100));
        set(AttributeName::system(name::GROUP), Value::Text(group));
    }
    device.identities = vec![format!("SN-{n:09}")];
    Ok(device)
}

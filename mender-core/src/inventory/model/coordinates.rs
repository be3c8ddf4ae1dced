use super::{attributes::Attributes, value::Value};

/// The names of the attributes, in any scope, that tell where a device is.
const NAMES: (&str, &str) = ("geo-lat", "geo-lon");

/// A place on earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinates {
    /// Degrees to the north, -90 to 90.
    pub latitude: f64,
    /// Degrees to the east, -180 to 180.
    pub longitude: f64,
}

impl Coordinates {
    /// The place with these degrees; `None`: there is none.
    #[must_use]
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let is_one = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        is_one.then_some(Self { latitude, longitude })
    }

    /// Reads where a device is from what it says: two texts with numbers.
    #[must_use]
    pub fn of(attributes: &Attributes) -> Option<Self> {
        let find = |wanted| {
            let mut all = attributes.iter().filter(|(_, name, _)| *name == wanted);
            all.find_map(|(_, _, attribute)| match &attribute.value {
                Value::Text(text) => text.trim().parse::<f64>().ok(),
                _ => None,
            })
        };
        Self::new(find(NAMES.0)?, find(NAMES.1)?)
    }
}

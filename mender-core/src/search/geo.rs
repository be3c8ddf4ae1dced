//! Distances and areas.

use std::{fmt, str::FromStr};

use crate::inventory::Coordinates;

/// The mean radius of the earth, in metres.
const RADIUS: f64 = 6_371_008.8;

/// A distance in metres.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Distance(pub f64);

/// The text is no distance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidDistance;

impl fmt::Display for InvalidDistance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a distance: a number with a unit, such as 10km")
    }
}

impl std::error::Error for InvalidDistance {}

impl FromStr for Distance {
    type Err = InvalidDistance;

    /// Reads a number and a unit; metres where there is none.
    fn from_str(text: &str) -> Result<Self, InvalidDistance> {
        let text = text.trim();
        let end = text.find(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E'));
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let metres = match unit.trim() {
            "" | "m" | "meters" => 1.0,
            "km" | "kilometers" => 1000.0,
            "mi" | "miles" => 1609.344,
            "yd" | "yards" => 0.9144,
            "ft" | "feet" => 0.3048,
            "in" | "inch" => 0.0254,
            "cm" | "centimeters" => 0.01,
            "mm" | "millimeters" => 0.001,
            "NM" | "nmi" | "nauticalmiles" => 1852.0,
            _ => return Err(InvalidDistance),
        };
        let number: f64 = number.trim().parse().map_err(|_| InvalidDistance)?;
        let distance = number * metres;
        if distance.is_finite() && distance >= 0.0 {
            Ok(Self(distance))
        } else {
            Err(InvalidDistance)
        }
    }
}

/// Returns the distance between two places over the ground, in metres.
fn distance(a: Coordinates, b: Coordinates) -> f64 {
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let across = a.latitude.to_radians().cos() * b.latitude.to_radians().cos();
    let chord = half(a.latitude, b.latitude) + across * half(a.longitude, b.longitude);
    2.0 * RADIUS * chord.clamp(0.0, 1.0).sqrt().asin()
}

/// A part of the earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Area {
    /// What lies no farther than this from a place.
    Around(Coordinates, Distance),
    /// What lies between two corners; over the 180th meridian where the left one is east of the
    /// right one.
    Between {
        /// The north-western corner.
        top_left: Coordinates,
        /// The south-eastern corner.
        bottom_right: Coordinates,
    },
}

impl Area {
    /// Tells whether a place lies in it.
    #[must_use]
    pub fn has(&self, place: Coordinates) -> bool {
        match self {
            Self::Around(centre, Distance(most)) => distance(*centre, place) <= *most,
            Self::Between { top_left, bottom_right } => {
                let (west, east) = (top_left.longitude, bottom_right.longitude);
                let is_between = if west <= east {
                    (west..=east).contains(&place.longitude)
                } else {
                    place.longitude >= west || place.longitude <= east
                };
                is_between && (bottom_right.latitude..=top_left.latitude).contains(&place.latitude)
            }
        }
    }

    /// Returns the degrees to the north that it spans, south first.
    #[must_use]
    pub fn latitudes(&self) -> (f64, f64) {
        match self {
            Self::Around(centre, Distance(most)) => {
                let degrees = (most / RADIUS).to_degrees();
                ((centre.latitude - degrees).max(-90.0), (centre.latitude + degrees).min(90.0))
            }
            Self::Between { top_left, bottom_right } => (bottom_right.latitude, top_left.latitude),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude: f64, longitude: f64) -> Coordinates {
        Coordinates::new(latitude, longitude).unwrap()
    }

    #[test]
    fn distances_have_units() {
        for (text, metres) in
            [("10km", 10_000.0), ("5", 5.0), ("1.5 mi", 2414.016), ("2NM", 3704.0)]
        {
            let read: Distance = text.parse().unwrap();
            assert!((read.0 - metres).abs() < 1e-6, "{text}: {read:?}");
        }
        for wrong in ["", "km", "-1km", "10 parsecs", "inf"] {
            assert_eq!(wrong.parse::<Distance>(), Err(InvalidDistance), "{wrong:?}");
        }
    }

    #[test]
    fn oslo_is_417_kilometres_from_stockholm_or_so() {
        let (oslo, stockholm) = (at(59.9139, 10.7522), at(59.3293, 18.0686));
        let kilometres = distance(oslo, stockholm) / 1000.0;
        assert!((410.0..425.0).contains(&kilometres), "{kilometres}");
        assert!(Area::Around(oslo, Distance(430_000.0)).has(stockholm));
        assert!(!Area::Around(oslo, Distance(400_000.0)).has(stockholm));
    }

    #[test]
    fn a_box_may_lie_over_the_date_line() {
        let fiji = Area::Between { top_left: at(-10.0, 175.0), bottom_right: at(-20.0, -175.0) };
        assert!(fiji.has(at(-17.0, 178.0)) && fiji.has(at(-17.0, -179.0)));
        assert!(!fiji.has(at(-17.0, 0.0)) && !fiji.has(at(0.0, 178.0)));
    }
}

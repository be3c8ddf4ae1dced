use super::*;

/// A device at the moment at which it would begin an update.
fn told(chances: Chances, reboots: Option<Duration>) -> (Simulated, Time) {
    let profile = Profile { chances, reboots, ..Profile::default() };
    let mut device = Simulated::new(1, &profile.into(), 1, Time(0));
    let mut now = Time(0);
    loop {
        let answer = match device.next(now) {
            Act::Wait(until) => {
                now = until;
                continue;
            }
            Act::Poll(_) => Answer::Update(update("release-2")),
            _ => Answer::Done,
        };
        device.answered(now, answer);
        if device.is_at().is_some() {
            return (device, now);
        }
    }
}

fn update(name: &str) -> Update {
    let deployment = "d1".parse().unwrap();
    Update { deployment, artifact_name: name.into(), uri: "http://x/1".into(), size: Some(100) }
}

/// Has a device go on until it polls again, and returns what it did; what `answer` does not
/// answer is done.
fn course(
    (mut device, mut now): (Simulated, Time),
    mut answer: impl FnMut(&Act, &mut Simulated, Time) -> Option<Answer>,
) -> (Vec<String>, Simulated) {
    let mut did = Vec::new();
    while did.len() < 100 {
        let act = device.next(now);
        did.push(match &act {
            Act::Poll(_) | Act::Wait(Time(i64::MAX)) => break,
            Act::Wait(until) => {
                now = *until;
                continue;
            }
            Act::Authenticate => "token".into(),
            Act::Inventory(_) => "inventory".into(),
            Act::Download { from, .. } => format!("fetch from {from}"),
            Act::Report { status, .. } => status.as_str().into(),
            Act::Log { .. } => "log".into(),
        });
        let whole = match act {
            Act::Download { from, breaks: true, .. } => part(u64::midpoint(from, 100)),
            Act::Download { .. } => part(100),
            _ => Answer::Done,
        };
        let answer = answer(&act, &mut device, now);
        device.answered(now, answer.unwrap_or(whole));
    }
    (did, device)
}

fn part(got: u64) -> Answer {
    Answer::Downloaded { got, size: 100 }
}

fn is_report(act: &Act, of: Status) -> bool {
    matches!(act, Act::Report { status, .. } if *status == of)
}

#[test]
fn an_update_without_a_reboot_takes_the_steps_of_the_usual_client() {
    let (did, device) = course(told(Chances::default(), None), |_, _, _| None);
    let steps = ["downloading", "fetch from 0", "installing", "installing", "success", "inventory"];
    assert_eq!(did, steps);
    assert_eq!(device.runs(), "release-2");
}

#[test]
fn a_reboot_costs_the_token() {
    let (did, _) = course(told(Chances::default(), Profile::default().reboots), |_, _, _| None);
    assert_eq!(did[3..], ["rebooting", "token", "installing", "success", "inventory"]);
}

#[test]
fn a_failure_is_followed_by_a_log() {
    let fails = Chances { failure: 1000, ..Chances::default() };
    let (did, device) = course(told(fails, None), |_, _, _| None);
    assert_eq!(did[2..], ["installing", "failure", "log", "inventory"]);
    assert_eq!(device.runs(), "release-1");
}

#[test]
fn what_runs_already_is_only_reported() {
    let (device, now) = told(Chances::default(), None);
    let mut device = Simulated { work: None, ..device };
    device.begin(update("release-1"));
    let (did, _) = course((device, now), |_, _, _| None);
    assert_eq!(did, ["already-installed", "inventory"]);
}

#[test]
fn a_download_that_breaks_is_resumed_and_at_last_given_up() {
    let mut rest = [40, 70].into_iter();
    let (did, _) = course(told(Chances::default(), None), |act, _, _| match act {
        Act::Download { .. } => rest.next().map(part),
        _ => None,
    });
    assert_eq!(did[1..4], ["fetch from 0", "fetch from 40", "fetch from 70"]);
    assert_eq!(did[6], "success");
    let (did, _) = course(told(Chances::default(), None), |act, _, _| match act {
        Act::Download { from, .. } => Some(part(*from)),
        _ => None,
    });
    assert_eq!(did.iter().filter(|did| *did == "fetch from 0").count(), 11);
    assert_eq!(did[12..], ["failure", "log", "inventory"]);
}

#[test]
fn who_can_not_resume_begins_a_broken_download_anew() {
    let profile = Profile { resumes: false, reboots: None, ..Profile::default() };
    let (mut device, now) = told(Chances::default(), None);
    device.behave(&profile.into());
    let mut rest = [40].into_iter();
    let (did, _) = course((device, now), |act, _, _| match act {
        Act::Download { .. } => rest.next().map(part),
        _ => None,
    });
    assert_eq!(did[1..3], ["fetch from 0", "fetch from 0"]);
    assert_eq!(did[5], "success");
}

#[test]
fn connections_break_as_often_as_the_profile_says() {
    let broken = Chances { broken: 1000, ..Chances::default() };
    let (did, _) = course(told(broken, None), |_, _, _| None);
    assert_eq!(did[1..5], ["fetch from 0", "fetch from 50", "fetch from 75", "fetch from 87"]);
    assert_eq!(did[did.len() - 3], "failure");
}

#[test]
fn a_state_is_what_was_said_last() {
    let mut states = Vec::new();
    let (device, now) = told(Chances::default(), Profile::default().reboots);
    course((device, now), |_, device, _| {
        states.push(device.state().as_str());
        None
    });
    let course = ["downloading", "downloading", "downloading", "installing", "rebooting"];
    assert_eq!(states[..5], course);
    assert_eq!(states[states.len() - 2..], ["reporting", "idle"]);
}

#[test]
fn an_abort_is_answered_by_a_failure() {
    for at in [Status::Downloading, Status::Installing] {
        let (did, device) = course(told(Chances::default(), None), |act, _, _| {
            is_report(act, at).then_some(Answer::Aborted)
        });
        assert_eq!(did[did.len() - 3..], ["failure", "log", "inventory"]);
        assert_eq!(did[did.len() - 4], at.as_str());
        assert_eq!(device.runs(), "release-1");
    }
}

#[test]
fn a_power_cut_undoes_what_is_in_the_middle_of_it() {
    let boots = Profile::default().reboots;
    let cut_at = |of: Status, reboots| {
        let mut cuts = 1;
        course(told(Chances::default(), reboots), |act, device, now| {
            if cuts > 0 && is_report(act, of) {
                cuts -= 1;
                device.answered(now, Answer::Done);
                device.cut(now);
            }
            None
        })
    };
    let (did, _) = cut_at(Status::Downloading, boots);
    assert_eq!(did[1..], ["token", "failure", "log", "inventory"]);
    let (did, _) = cut_at(Status::Installing, None);
    assert_eq!(did[3..], ["token", "failure", "log", "inventory"]);
    // A reboot is one anyway.
    let (did, device) = cut_at(Status::Rebooting, boots);
    assert_eq!(did[4..], ["token", "installing", "success", "inventory"]);
    assert_eq!(device.runs(), "release-2");
}

#[test]
fn who_is_not_answered_insists_where_it_matters_and_ever_more_rarely() {
    let mut asked = Vec::new();
    let (did, device) = course(told(Chances::default(), None), |act, _, now| {
        let unavailable = Answer::Unavailable { after: None };
        is_report(act, Status::Success).then(|| asked.push(now));
        is_report(act, Status::Success).then_some(unavailable)
    });
    assert_eq!(did.iter().filter(|did| *did == "success").count(), usize::from(TRIES));
    let waits: Vec<u64> = asked.windows(2).map(|two| two[1].since(two[0]).as_secs()).collect();
    assert!(waits.is_sorted_by(|a, b| *a <= b * 5 / 4) && waits[8] >= 240, "{waits:?}");
    // It is given up; what runs, runs.
    assert_eq!(device.runs(), "release-2");
    let later = Answer::Unavailable { after: Some(Duration::from_secs(1000)) };
    let (mut device, now) = told(Chances::default(), None);
    device.work = None;
    device.doing = Doing::Poll;
    device.answered(now, later);
    assert!(matches!(device.next(now), Act::Wait(until) if until.since(now).as_secs() >= 1000));
}

#[test]
fn a_stuck_device_does_nothing_until_it_is_switched_off_and_on() {
    let stuck = Chances { stuck: 1000, ..Chances::default() };
    let reboots = Profile::default().reboots;
    let (did, mut device) = course(told(stuck, reboots), |_, _, _| None);
    assert!(device.is_stuck() && !did.contains(&"success".to_owned()), "{did:?}");
    device.cut(Time(0));
    let (did, device) = course((device, Time(0)), |_, _, _| None);
    assert_eq!((did[0].as_str(), did[did.len() - 1].as_str()), ("token", "inventory"));
    assert_eq!(device.is_at(), None);
}

#[test]
fn reports_come_twice_and_late() {
    let chances = Chances { repeat: 1000, late: 1000, ..Chances::default() };
    let (mut did, device) = course(told(chances, None), |_, _, _| None);
    did.retain(|did| did.as_str() != "inventory");
    let twice = ["downloading"; 2].into_iter().chain(["fetch from 0"]);
    // Both before and after the installation a device says that it installs.
    let twice = twice.chain(["installing"; 4]).chain(["success"; 2]);
    assert_eq!(did, Vec::from_iter(twice));
    let echo = device.echo.clone().unwrap();
    let (mut device, now) = (device, echo.at);
    device.hurry(now);
    assert!(is_report(&device.next(now), echo.status));
    device.answered(now, Answer::Aborted);
    assert!(!matches!(device.next(now), Act::Report { .. }));
}

#[test]
fn no_time_is_too_long_for_a_device() {
    let long = Duration::MAX;
    let profile = Profile {
        polls: long,
        inventories: long,
        retry: long,
        retries: long,
        installs: long,
        reboots: Some(long),
        chances: Chances { late: 1000, ..Chances::default() },
        ..Profile::default()
    };
    let refused = Answer::Unavailable { after: None };
    let (mut device, now) = told(Chances::default(), profile.reboots);
    device.behave(&profile.into());
    let mut did = 0;
    while did < 100 {
        device.hurry(now);
        let act = device.next(now);
        assert!(!matches!(act, Act::Wait(until) if until <= now), "{act:?}");
        let answer = match act {
            _ if did % 3 == 0 => refused.clone(),
            Act::Download { .. } => part(100),
            _ => Answer::Done,
        };
        device.answered(now, answer);
        did += 1;
    }
    assert_eq!(device.runs(), "release-2");
}

#[test]
fn a_device_is_small() {
    assert!(size_of::<Simulated>() <= 112, "{} bytes", size_of::<Simulated>());
}

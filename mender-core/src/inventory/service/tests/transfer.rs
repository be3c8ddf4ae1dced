use super::{Kind, Value, World, id, text};
use crate::inventory::{AttributeName, Config, How, Line, LineOutcome, NewAttribute};

fn line(key: &str, scope: &str, name: &str, value: &str) -> Line {
    let attribute = NewAttribute::new(AttributeName::new(scope, name), text(value));
    Line { key: key.into(), attributes: vec![attribute] }
}

async fn import(w: &World, by: &AttributeName, lines: &[Line], how: How) -> Vec<LineOutcome> {
    w.inventory().import(&w.ctx, lines, by, how).await.unwrap()
}

#[tokio::test]
async fn of_several_lines_about_a_device_the_last_one_counts() {
    let w = World::new();
    for name in ["a", "b"] {
        w.report(name, &[("x", "1")]).await;
    }
    let by = AttributeName::identity("id");
    let lines: Vec<Line> = (0..20)
        .map(|n| line(if n % 2 == 0 { "a" } else { "b" }, "tags", "n", &n.to_string()))
        .collect();
    let outcomes = import(&w, &by, &lines, How::Replace).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, LineOutcome::Stored)));
    assert_eq!(w.value("a", "tags/n").await, Some(text("18")));
    assert_eq!(w.value("b", "tags/n").await, Some(text("19")));
}

#[tokio::test]
async fn lines_name_one_known_device_by_a_text_or_a_number() {
    let w = World::new();
    w.write("a", "identity/serial", Value::Number(7.0)).await;
    w.write("b", "identity/serial", text("s")).await;
    w.write("c", "identity/serial", text("s")).await;
    let by = AttributeName::identity("serial");
    let lines = ["7", "s", "8"].map(|key| line(key, "tags", "t", key));
    let outcomes = import(&w, &by, &lines, How::Merge).await;
    let told = (&outcomes[0], &outcomes[1], &outcomes[2]);
    assert!(matches!(told, (LineOutcome::Stored, LineOutcome::Ambiguous(2), LineOutcome::Unknown)));
    assert_eq!(w.value("a", "tags/t").await, Some(text("7")));
    assert_eq!(w.value("b", "tags/t").await, None);
}

#[tokio::test]
async fn what_a_device_could_not_report_or_belongs_to_the_server_is_refused() {
    let w = World::with(Config { max_attributes: 1, ..Config::default() });
    w.report("a", &[("x", "1")]).await;
    let by = AttributeName::identity("id");
    let lines = [
        line("a", "inventory", "x", "2"),
        line("a", "inventory", "y", "2"),
        line("a", "system", "group", "g"),
        line("a", "tags", "", "x"),
    ];
    let outcomes = import(&w, &by, &lines, How::Merge).await;
    assert!(matches!(outcomes[0], LineOutcome::Stored));
    for (outcome, field) in outcomes[1..].iter().zip(["attributes", "scope", "name"]) {
        let LineOutcome::Refused(error) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.kind, Kind::Invalid { field });
    }
    assert_eq!(w.inventory().device(&w.ctx, &id("a")).await.unwrap().group(), None);
    assert_eq!(w.value("a", "inventory/x").await, Some(text("2")));
}

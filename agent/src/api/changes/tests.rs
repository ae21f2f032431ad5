use super::*;

#[test]
fn a_name_that_no_rule_has_is_said_with_the_one_that_was_meant() {
    let key = |zone: &str, rule: &str, sensor: &str| AlertKey {
        zone: Id::new(zone).unwrap(),
        rule: Id::new(rule).unwrap(),
        sensor: SensorId::new(sensor).unwrap(),
    };
    let keys = [key("tank", "ph-high", "tank/ph"), key("tank", "ph-low", "tank/ph"), key("room-1", "hot", "room-1/t")];
    for (zone, rule, sensor, said) in [
        (Some("tanc"), None, None, "no rule watches zone tanc; did you mean tank? zones with rules: room-1, tank"),
        (Some("greenhouse"), None, None, "no rule watches zone greenhouse; zones with rules: room-1, tank"),
        (
            Some("tank"),
            Some("ph-hihg"),
            None,
            "there is no rule ph-hihg; did you mean ph-high? rules: hot, ph-high, ph-low",
        ),
        (
            None,
            None,
            Some("tank/hp"),
            "no rule watches sensor tank/hp; did you mean tank/ph? sensors with rules: room-1/t, tank/ph",
        ),
        (
            Some("room-1"),
            Some("ph-low"),
            None,
            "no rule matches zone room-1, rule ph-low: each of them exists, and not together",
        ),
        (Some("tank"), None, None, ""),
        (None, Some("hot"), Some("room-1/t"), ""),
    ] {
        let of = Matcher {
            zone: zone.map(|zone| Id::new(zone).unwrap()),
            rule: rule.map(|rule| Id::new(rule).unwrap()),
            sensor: sensor.map(|sensor| SensorId::new(sensor).unwrap()),
        };
        let refused = check_matcher(&of, keys.iter()).err().map_or(String::new(), |problem| problem.detail);
        assert_eq!(refused, said);
    }
}

use super::*;

const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn head(fields: &[(HeaderName, &str)]) -> HeaderMap {
    let mut head = HeaderMap::new();
    for (name, value) in fields {
        head.append(name, HeaderValue::try_from(*value).unwrap());
    }
    head
}

#[test]
fn what_is_no_traceparent_begins_a_trace_of_its_own() {
    assert!(parse(&SENT.replace("00-", "42-")).is_some() && parse(&format!("42{}-more", &SENT[2..])).is_some());
    for wrong in [
        "",
        "00",
        &SENT.to_uppercase(),
        &SENT.replace("00-", "ff-"),
        &format!("{SENT}-more"),
        &SENT.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
        &SENT.replace("b7ad6b7169203331", "0000000000000000"),
        &SENT.replace("b7ad6b7169203331", "b7ad6b716920333"),
        &SENT.replace("0af7", "+af7"),
    ] {
        assert_eq!(parse(wrong), None, "{wrong}");
        let own = Context::of(&head(&[(TRACEPARENT, wrong), (TRACESTATE, "a=1")]));
        assert!(own.trace().id() != 0 && own.trace().part() != 0 && own.answer().is_none());
        assert_eq!((own.sent, own.state), (None, None), "{wrong}");
    }
    let twice = Context::of(&head(&[(TRACEPARENT, SENT), (TRACEPARENT, SENT)]));
    assert_eq!(twice.sent, None);
    assert_ne!(Context::begin().trace().id(), Context::begin().trace().id());
}

#[test]
fn a_tracestate_that_is_none_is_dropped_and_the_trace_goes_on() {
    let long = format!("a={}", "x".repeat(LONGEST_STATE));
    let many = vec!["a=1"; MOST_MEMBERS + 1].join(",");
    for wrong in ["", ",", "a", "=1", "A=1", "a=1=2", "a=1,b", &long, &many] {
        let context = Context::of(&head(&[(TRACEPARENT, SENT), (TRACESTATE, wrong)]));
        assert_eq!(context.state, None, "{wrong}");
        assert!(context.sent.is_some());
    }
}

#[test]
fn a_trace_goes_on_under_its_id() {
    let context = Context::of(&head(&[(TRACEPARENT, SENT)]));
    assert_eq!(context.trace().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert!(context.trace().is_sampled());
    assert_eq!(context.sent, Some((0xb7ad_6b71_6920_3331, 1)));
    let header = context.answer().unwrap();
    let told = header.to_str().unwrap();
    assert!(parse(told).is_some() && told != SENT && told.starts_with(&SENT[..36]) && told.ends_with("-01"), "{told}");
    let unsampled = Context::of(&head(&[(TRACEPARENT, &SENT.replace("-01", "-00"))]));
    assert!(!unsampled.trace().is_sampled());
}

#[test]
fn flags_that_mean_nothing_yet_are_not_passed_on() {
    let sent = |flags: &str| Context::of(&head(&[(TRACEPARENT, &SENT.replace("-01", flags))]));
    for (flags, ours) in [("-ff", "-03"), ("-fd", "-01"), ("-02", "-02"), ("-fc", "-00")] {
        let answer = sent(flags).answer().unwrap();
        assert!(answer.to_str().unwrap().ends_with(ours), "{flags}: {answer:?}");
    }
    assert_eq!(sent("-ff").sent, Some((0xb7ad_6b71_6920_3331, 3)));
}

#[tokio::test]
async fn what_is_asked_of_others_is_a_part_of_its_own_with_the_state_as_it_came() {
    let sent =
        head(&[(TRACEPARENT, SENT), (TRACESTATE, "rojo=00f067aa0ba902b7 , "), (TRACESTATE, "congo=t61rcWkgMzE")]);
    let context = Context::of(&sent);
    let (trace, asks) = (context.trace(), async {
        let mut asked = HeaderMap::new();
        write_to(&mut asked);
        Ok::<_, ()>((Trace::current().unwrap(), asked))
    });
    let answer = asking("ask", "there", |()| "failed", asks);
    let (part, asked) = context.scope(answer).await.unwrap();
    assert!(part.id() == trace.id() && part.part() != trace.part());
    assert_eq!(asked[TRACEPARENT], part.header());
    assert_eq!(asked[TRACESTATE], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
}

#[tokio::test]
async fn what_is_asked_outside_of_a_request_has_a_trace_of_its_own() {
    let asks = async || Ok::<_, ()>(Trace::current().unwrap().id());
    let first = asking("ask", "there", |()| "failed", asks()).await.unwrap();
    let second = asking("ask", "there", |()| "failed", asks()).await.unwrap();
    assert!(first != second && Trace::current().is_none());
}

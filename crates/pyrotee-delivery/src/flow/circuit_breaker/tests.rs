use super::*;

const THRESHOLD: u32 = 3;

fn breaker() -> CircuitBreaker {
    CircuitBreaker::new(THRESHOLD)
}

/// A failure of an untried record, as a probe or not.
fn fail(breaker: &mut CircuitBreaker, evidence: Evidence, is_probe: bool, now: Instant) {
    let _opened = breaker.failed(evidence, false, is_probe, Backoff::FAILING, now);
}

fn due(breaker: &CircuitBreaker) -> Instant {
    breaker.blocked_until().expect("it is open")
}

#[tokio::test(start_paused = true)]
async fn failures_of_different_records_add_up_and_a_success_clears_them() {
    let now = Instant::now();
    let mut breaker = breaker();
    for _ in 0..5 {
        fail(&mut breaker, Evidence::Weak, false, now);
        fail(&mut breaker, Evidence::Weak, false, now);
        assert_eq!(breaker.succeeded(false), Closing::None);
    }
    for closed in [true, true, false, false] {
        fail(&mut breaker, Evidence::Weak, false, now);
        assert_eq!(breaker.is_closed(), closed);
    }
    assert!(
        !breaker.is_outage(),
        "it is not known yet whose fault it is"
    );
    let until = now + VERIFY_DELAY;
    assert_eq!(
        breaker.admission(false, now),
        Admission::BlockedUntil(until)
    );
    assert_eq!(breaker.admission(false, until), Admission::Probe);
}

#[tokio::test(start_paused = true)]
async fn one_record_that_fails_again_and_again_opens_nothing() {
    let now = Instant::now();
    let mut breaker = breaker();
    fail(&mut breaker, Evidence::Weak, false, now);
    for _ in 0..100 {
        assert!(!breaker.failed(Evidence::Weak, true, false, Backoff::FAILING, now));
    }
    assert!(breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn two_more_records_must_fail_before_the_long_delays_begin() {
    let mut now = Instant::now();
    let mut breaker = breaker();
    for _ in 0..THRESHOLD {
        fail(&mut breaker, Evidence::Weak, false, now);
    }
    for (is_outage, shortest, longest) in [(false, 1, 1), (true, 25, 30), (true, 25, 30)] {
        now = due(&breaker);
        breaker.start_probe();
        assert!(breaker.failed(Evidence::Weak, false, true, Backoff::BROKEN, now));
        assert_eq!(breaker.is_outage(), is_outage);
        let wait = due(&breaker) - now;
        let range = Duration::from_secs(shortest)..=Duration::from_secs(longest);
        assert!(range.contains(&wait), "{wait:?}");
    }
    breaker.start_probe();
    assert_eq!(breaker.succeeded(true), Closing::AfterOutage);
}

#[tokio::test(start_paused = true)]
async fn a_good_probe_says_that_the_failures_were_the_records_own() {
    let mut now = Instant::now();
    let mut breaker = breaker();
    for _ in 0..THRESHOLD {
        fail(&mut breaker, Evidence::Weak, false, now);
    }
    now += VERIFY_DELAY;
    breaker.start_probe();
    // A failed probe with a record that has failed before delays only the next probe with such a record.
    assert!(breaker.failed(Evidence::Weak, true, true, Backoff::BROKEN, now));
    let untried_at = now + VERIFY_DELAY;
    assert_eq!(breaker.admission(false, untried_at), Admission::Probe);
    assert!(matches!(
        breaker.admission(true, untried_at),
        Admission::BlockedUntil(_)
    ));
    breaker.start_probe();
    assert_eq!(breaker.succeeded(true), Closing::AfterVerification);
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_and_its_result_alone_counts() {
    let mut now = Instant::now();
    let mut breaker = breaker();
    fail(&mut breaker, Evidence::Conclusive, false, now);
    assert!(breaker.is_outage());
    now = due(&breaker);
    breaker.start_probe();
    assert_eq!(breaker.admission(false, now), Admission::ProbeInFlight);
    assert_eq!(breaker.succeeded(false), Closing::None);
    fail(&mut breaker, Evidence::Conclusive, false, now);
    assert_eq!(breaker.admission(false, now), Admission::ProbeInFlight);
    breaker.withdraw_probe(now);
    assert_eq!(breaker.admission(false, now), Admission::Probe);
    breaker.start_probe();
    assert_eq!(breaker.succeeded(true), Closing::AfterOutage);
    assert_eq!(breaker.admission(false, now), Admission::All);
}

#[tokio::test(start_paused = true)]
async fn a_pause_lasts_as_long_as_was_asked() {
    let now = Instant::now();
    let mut breaker = breaker();
    let asked = Evidence::PushBack(Some(Duration::from_secs(20)));
    fail(&mut breaker, asked, false, now);
    let until = due(&breaker);
    assert!(until >= now + Duration::from_secs(20) && until <= now + Duration::from_secs(22));
}

#[tokio::test(start_paused = true)]
async fn from_the_second_minute_on_there_are_at_most_six_probes_a_minute() {
    let start = Instant::now();
    for _ in 0..50 {
        let mut breaker = breaker();
        fail(&mut breaker, Evidence::Conclusive, false, start);
        let mut probes = Vec::new();
        while let Some(at) = breaker
            .blocked_until()
            .filter(|at| *at < start + Duration::from_secs(900))
        {
            probes.push(at);
            breaker.start_probe();
            let has_failed = probes.len() % 3 == 0;
            assert!(breaker.failed(Evidence::Weak, has_failed, true, Backoff::FAILING, at));
        }
        let late = probes
            .iter()
            .filter(|at| **at >= start + Duration::from_secs(60));
        for first in late {
            let minute = *first..*first + Duration::from_secs(60);
            let within = probes.iter().filter(|at| minute.contains(at)).count();
            assert!(within <= 6, "{within}");
        }
    }
}

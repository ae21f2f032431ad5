use super::*;

/// What happens to a connection, each some seconds after the one before.
#[derive(Debug, Clone, Copy)]
enum Does {
    IsAsked,
    Answers,
    Streams,
    Stalls,
    Sends,
}
use Does::{Answers, IsAsked, Sends, Stalls, Streams};

#[tokio::test(start_paused = true)]
async fn a_connection_has_a_minute_to_ask_and_ten_seconds_to_take_something() {
    for (course, expected_s) in [
        (&[][..], 60),
        (&[(50, IsAsked), (1, Answers)], 111),
        (&[(1, IsAsked), (1, Answers), (1, Stalls)], 13),
        (&[(1, IsAsked), (1, Answers), (1, Stalls), (5, Stalls)], 13),
        (&[(1, IsAsked), (1, Answers), (1, Stalls), (9, Sends)], 62),
        // A day without an event, and then one that is not taken.
        (&[(1, IsAsked), (1, Streams), (86_400, Sends), (1, Stalls)], 86_413),
        // Requests that are sent one after the other, and answers that the client does not read.
        (&[(1, IsAsked), (1, Answers), (1, IsAsked), (1, Stalls)], 14),
    ] {
        let begun = Instant::now();
        let activity = Activity::new();
        let happens = async {
            for (after, what) in course {
                tokio::time::sleep(Duration::from_secs(*after)).await;
                match what {
                    IsAsked => activity.requested(),
                    Answers => activity.answered(false),
                    Streams => activity.answered(true),
                    Stalls => drop(activity.written(Poll::<()>::Pending)),
                    Sends => drop(activity.written(Poll::Ready(()))),
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = happens => {}
            () = activity.expired() => {}
        }
        assert_eq!(begun.elapsed().as_secs(), expected_s, "{course:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_first_answer_or_watches_makes_no_room() {
    let activity = Activity::new();
    let mut ranks = Vec::new();
    let mut rank = || ranks.push(activity.rank().map(|(rank, _)| rank));
    rank();
    activity.requested();
    rank();
    activity.answered(false);
    rank();
    activity.requested();
    rank();
    activity.answered(true);
    rank();
    assert_eq!(ranks, [Some(0), None, Some(0), Some(1), None]);
}

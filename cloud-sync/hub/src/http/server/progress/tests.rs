use super::*;

/// What happens to a connection, each some seconds after the one before.
#[derive(Debug, Clone, Copy)]
enum Does {
    Receives,
    IsAsked,
    Answers,
    Sends,
    Stalls,
}
use Does::{Answers, IsAsked, Receives, Sends, Stalls};

#[tokio::test(start_paused = true)]
async fn each_part_of_a_request_has_its_time() {
    for (course, expected_s) in [
        (&[][..], 10),
        // One byte of the head every nine seconds.
        (&[(9, Receives)], 10),
        (&[(9, IsAsked)], 99),
        (&[(1, IsAsked), (1, Answers)], 77),
        (&[(1, IsAsked), (1, Answers), (70, Receives)], 82),
        (&[(1, IsAsked), (1, Answers), (70, Receives), (9, Receives)], 82),
        (&[(1, IsAsked), (1, Answers), (70, Receives), (9, IsAsked), (1, Answers)], 157),
        (&[(1, IsAsked), (1, Answers), (1, Stalls)], 23),
        (&[(1, IsAsked), (1, Answers), (1, Stalls), (5, Stalls)], 23),
        // Bytes that come are no sign that bytes go.
        (&[(1, IsAsked), (1, Answers), (1, Stalls), (15, Receives)], 23),
        (&[(1, IsAsked), (1, Answers), (1, Stalls), (15, Sends)], 93),
        (
            &[
                (1, IsAsked),
                (1, Answers),
                (1, Stalls),
                (15, Sends),
                (1, Stalls),
                (15, Sends),
                (1, Stalls),
                (15, Sends),
                (1, Stalls),
                (15, Sends),
                (1, Stalls),
                (15, Sends),
                (1, Stalls),
                (15, Sends),
                (1, Stalls),
                (15, Sends),
                (1, Stalls),
                (15, Sends),
                (1, Stalls),
            ],
            122,
        ),
    ] {
        let begun = Instant::now();
        let progress = Progress::new();
        let happens = async {
            for (after, what) in course {
                tokio::time::sleep(Duration::from_secs(*after)).await;
                match what {
                    Receives => progress.received(),
                    IsAsked => progress.asked(),
                    Answers => progress.answered(),
                    Sends => progress.sent(),
                    Stalls => progress.stalled(),
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = happens => {}
            () = progress.expired() => {}
        }
        assert_eq!(begun.elapsed().as_secs(), expected_s, "{course:?}");
    }
}

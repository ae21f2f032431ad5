//! SMS that leave by one modem: each text goes to each number, part by part; what became of a page, and of each SMS. Pure.

use std::collections::{BTreeSet, VecDeque};

use tilth_core::time::Uptime;

use super::pdu::{self, DeliveryReport, Submit};
use super::session::SendFailure;
use super::{known_number, masked};
use crate::budget::Budget;
use crate::message::{Failure, Retry};

/// Answers in an hour. Two programs that answer each other end there.
const ANSWERS_PER_HOUR: u32 = 20;

/// Answers that wait; people send a few.
const MAX_ANSWERS: usize = 16;

/// SMS whose delivery report is waited for. References have 256 values.
const MAX_REPORTS: usize = 64;

/// Pages whose delivery reports may still come: the network tries for an hour.
const MAX_PAGES: usize = 16;

/// Digits at the end of a number that no network writes differently.
const LAST_DIGITS: usize = 7;

/// Attempts for one number.
const TRIES: u32 = 2;

/// What became of SMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmsOutcome {
    /// The page is over: at least one number has it, or why none has.
    Page(Result<(), Failure>),
    /// A number did not get an SMS, and why.
    Failed(String, String),
    /// An SMS arrived at a phone, or the service centre gave it up with a status.
    Arrived(String, Result<(), u8>),
    /// The page of this id, which the network had taken, arrived at no phone; and why.
    Lost(String, String),
}

/// A text on its way to one number.
#[derive(Debug)]
struct OutgoingSms {
    to: String,
    /// Number of the text, which its parts name.
    text: u8,
    parts: VecDeque<Submit>,
    /// Attempts at the part that is next.
    tries: u32,
    is_page: bool,
}

/// The page that is under way.
#[derive(Debug)]
struct Page {
    id: String,
    queue: VecDeque<OutgoingSms>,
    failure: Option<Failure>,
}

/// A part of a text whose delivery report is waited for.
#[derive(Debug)]
struct PendingReport {
    reference: u8,
    text: u8,
    to: String,
    /// The page that it is of.
    page: Option<String>,
}

/// The numbers for which the network has a page.
#[derive(Debug)]
struct Reached {
    page: String,
    numbers: BTreeSet<String>,
}

/// SMS of one modem.
#[derive(Debug, Default)]
pub struct Outgoing {
    answers: VecDeque<OutgoingSms>,
    /// Answers that may go; none before the first.
    budget: Option<Budget>,
    page: Option<Page>,
    /// The SMS that the modem has.
    in_flight: Option<OutgoingSms>,
    /// What became of the last page at each number, as [`Outgoing::numbers`] says it.
    numbers: Vec<(String, Result<(), String>)>,
    /// Pages of late, so that another attempt leaves out the numbers that have one. The newest is the last.
    reached: VecDeque<Reached>,
    reference: u8,
    reports: VecDeque<PendingReport>,
    /// Report that came for the number of the SMS in flight, before the modem said its reference.
    early_report: Option<DeliveryReport>,
    outcomes: VecDeque<SmsOutcome>,
}

impl Outgoing {
    /// Sends a text to all of these numbers; the one before is over. Those that an earlier attempt reached are left out.
    pub fn page(&mut self, id: &str, text: &str, numbers: &[String]) {
        let place = self.reached.iter().position(|reached| reached.page == id);
        let before = place.and_then(|place| self.reached.remove(place));
        let reached = before.unwrap_or_else(|| Reached { page: id.to_owned(), numbers: BTreeSet::new() });
        let missing: Vec<&String> = numbers.iter().filter(|number| !reached.numbers.contains(*number)).collect();
        self.reached.push_back(reached);
        if self.reached.len() > MAX_PAGES {
            self.reached.pop_front();
        }
        self.numbers.clear();
        let queue = missing.into_iter().map(|number| self.sms(number, text, true)).collect();
        self.page = Some(Page { id: id.to_owned(), queue, failure: None });
        self.end_page();
    }

    /// Answers somebody; dropped past 20 answers in an hour.
    pub fn answer(&mut self, now: Uptime, number: &str, text: &str) {
        let budget = self.budget.get_or_insert_with(|| Budget::per_hour(ANSWERS_PER_HOUR));
        if budget.left(now) > 0 && self.answers.len() < MAX_ANSWERS {
            budget.take(now);
            let sms = self.sms(number, text, false);
            self.answers.push_back(sms);
        }
    }

    /// The next SMS for the modem, once the one before was answered: pages first.
    pub fn next_submit(&mut self) -> Option<Submit> {
        if self.in_flight.is_some() {
            return None;
        }
        let of_page = self.page.as_mut().and_then(|page| page.queue.pop_front());
        let sms = self.in_flight.insert(of_page.or_else(|| self.answers.pop_front())?);
        sms.parts.front().cloned()
    }

    /// What became of the SMS that the modem had.
    pub fn submitted(&mut self, result: Result<u8, SendFailure>) {
        let Some(mut sms) = self.in_flight.take() else { return };
        match result {
            Ok(reference) => {
                sms.parts.pop_front();
                sms.tries = 0;
                let reached = self.reached.back_mut().filter(|_| sms.is_page);
                let page = reached.as_ref().map(|reached| reached.page.clone());
                self.reports.push_back(PendingReport { reference, text: sms.text, to: sms.to.clone(), page });
                if self.reports.len() > MAX_REPORTS {
                    self.reports.pop_front();
                }
                if !sms.parts.is_empty() {
                    self.requeue(sms, true);
                } else if let Some(reached) = reached {
                    self.numbers.push((masked(&sms.to), Ok(())));
                    reached.numbers.insert(sms.to);
                }
            }
            Err(failure) => self.failed(sms, failure),
        }
        self.end_page();
        if let Some(report) = self.early_report.take() {
            self.reported(report);
        }
    }

    /// What a service centre says of a part of a text. The text arrived when all its parts did.
    pub fn reported(&mut self, report: DeliveryReport) {
        let Some(arrived) = report.arrived else { return };
        let is_to = |number: &String| known_number(std::slice::from_ref(number), &report.to).is_some();
        let may_be_to = |number: &String| is_to(number) || ends_alike(number, &report.to);
        // References repeat, sooner where the modem restarted: the newest to the number is meant.
        let newest = |is_meant: &dyn Fn(&String) -> bool| {
            let is_it = |pending: &PendingReport| pending.reference == report.reference && is_meant(&pending.to);
            self.reports.iter().rposition(is_it)
        };
        let place = newest(&is_to).or_else(|| newest(&may_be_to));
        let Some(PendingReport { text, to, page, .. }) = place.and_then(|place| self.reports.remove(place)) else {
            if self.in_flight.as_ref().is_some_and(|sms| may_be_to(&sms.to)) {
                self.early_report = Some(report);
            }
            return;
        };
        let is_of_it = |pending: &PendingReport| pending.text == text && pending.to == to;
        if arrived && (self.is_under_way(text, &to) || self.reports.iter().any(is_of_it)) {
            return;
        }
        self.reports.retain(|pending| !is_of_it(pending));
        let number = masked(&to);
        self.outcomes.push_back(SmsOutcome::Arrived(number.clone(), if arrived { Ok(()) } else { Err(report.status) }));
        if let (false, Some(page)) = (arrived, page) {
            self.not_arrived(&page, &to, format!("SMS to {number} did not arrive"));
        }
    }

    /// Whether a part of the text is still to be sent to the number.
    fn is_under_way(&self, text: u8, to: &str) -> bool {
        let of_page = self.page.iter().flat_map(|page| &page.queue);
        let mut queue = of_page.chain(&self.answers).chain(&self.in_flight);
        queue.any(|sms| sms.text == text && sms.to == to)
    }

    /// A page that arrives at no phone is lost; one that is under way has other numbers yet.
    fn not_arrived(&mut self, page: &str, number: &str, why: String) {
        let is_under_way = self.page.as_ref().is_some_and(|under_way| under_way.id == page);
        let Some(reached) = self.reached.iter_mut().find(|reached| reached.page == page) else { return };
        reached.numbers.remove(number);
        if reached.numbers.is_empty() && !is_under_way {
            self.outcomes.push_back(SmsOutcome::Lost(page.to_owned(), why));
        }
    }

    /// Each number of the last page that is known to have it, or why not, shortened; in the order of trying.
    pub fn numbers(&self) -> &[(String, Result<(), String>)] {
        &self.numbers
    }

    /// What became of SMS, until there is nothing.
    pub fn poll(&mut self) -> Option<SmsOutcome> {
        self.outcomes.pop_front()
    }

    fn sms(&mut self, to: &str, text: &str, is_page: bool) -> OutgoingSms {
        self.reference = self.reference.wrapping_add(1);
        let parts = pdu::submits(to, text, self.reference).into();
        OutgoingSms { to: to.to_owned(), text: self.reference, parts, tries: 0, is_page }
    }

    fn failed(&mut self, mut sms: OutgoingSms, failure: SendFailure) {
        sms.tries += 1;
        // An SMS that may have arrived would come twice.
        if sms.tries < TRIES && !failure.is_of_the_number && !failure.may_have_arrived {
            return self.requeue(sms, false);
        }
        self.outcomes.push_back(SmsOutcome::Failed(masked(&sms.to), failure.reason.clone()));
        if let Some(page) = self.page.as_mut().filter(|_| sms.is_page) {
            self.numbers.push((masked(&sms.to), Err(failure.reason.clone())));
            let retry = if failure.is_of_the_number { Retry::Few } else { Retry::UntilExpired };
            let SendFailure { reason, may_have_arrived, .. } = failure;
            page.failure = Some(Failure { reason, retry, retry_after: None, may_have_arrived });
        }
    }

    /// The rest of a text: its next part at once, another attempt after the other numbers.
    fn requeue(&mut self, sms: OutgoingSms, at_once: bool) {
        let queue = match &mut self.page {
            Some(page) if sms.is_page => &mut page.queue,
            _ => &mut self.answers,
        };
        if at_once { queue.push_front(sms) } else { queue.push_back(sms) }
    }

    fn end_page(&mut self) {
        let is_in_flight = self.in_flight.as_ref().is_some_and(|sms| sms.is_page);
        let Some(page) = self.page.take_if(|page| page.queue.is_empty() && !is_in_flight) else { return };
        let has_reached = self.reached.back().is_some_and(|reached| !reached.numbers.is_empty());
        let failure = page.failure.filter(|_| !has_reached);
        self.outcomes.push_back(SmsOutcome::Page(failure.map_or(Ok(()), Err)));
    }
}

/// Whether a service centre may mean a number though it writes it in another form, such as a Mexican mobile one as `+521..` for `+52..`. With
/// the reference of an SMS that is enough; it is not for who may answer.
fn ends_alike(number: &str, to: &str) -> bool {
    let last = number.len().checked_sub(LAST_DIGITS).and_then(|from| number.get(from..));
    last.is_some_and(|last| to.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(is_of_the_number: bool, may_have_arrived: bool) -> Result<u8, SendFailure> {
        Err(SendFailure { reason: "no network".to_owned(), is_of_the_number, may_have_arrived })
    }

    fn numbers() -> Vec<String> {
        ["+4915112345678", "+4915187654321"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_page_is_sent_to_every_number_and_ends_once() {
        let mut outgoing = Outgoing::default();
        outgoing.page("pi-31-1", &"a".repeat(200), &numbers());
        for reference in 1..=4 {
            assert!(outgoing.next_submit().is_some() && outgoing.next_submit().is_none());
            assert_eq!(outgoing.poll(), None);
            outgoing.submitted(Ok(reference));
        }
        assert_eq!(
            (outgoing.poll(), outgoing.poll(), outgoing.next_submit()),
            (Some(SmsOutcome::Page(Ok(()))), None, None)
        );
        // References 1 and 2 went to the first number, 3 and 4 to the second.
        let report = |reference: u8, arrived| report(&numbers()[usize::from(reference > 2)], reference, arrived);
        outgoing.reported(report(4, None));
        outgoing.reported(report(4, Some(true)));
        assert_eq!(outgoing.poll(), None, "its first part is on its way");
        outgoing.reported(report(3, Some(true)));
        outgoing.reported(report(1, Some(false)));
        outgoing.reported(report(2, Some(true)));
        outgoing.reported(report(99, Some(true)));
        assert_eq!(outgoing.poll(), Some(SmsOutcome::Arrived("+49..4321".to_owned(), Ok(()))));
        assert_eq!(outgoing.poll(), Some(SmsOutcome::Arrived("+49..5678".to_owned(), Err(0x46))));
        assert_eq!(outgoing.poll(), None);
    }

    fn report(to: &str, reference: u8, arrived: Option<bool>) -> DeliveryReport {
        DeliveryReport { reference, to: to.to_owned(), arrived, status: 0x46 }
    }

    /// A modem that restarted gives references that old SMS had; reports of those may still come.
    #[test]
    fn a_report_is_of_the_sms_to_its_number() {
        let mut outgoing = Outgoing::default();
        outgoing.page("pi-31-1", "a", &numbers());
        for reference in [1, 2] {
            outgoing.next_submit().unwrap();
            outgoing.submitted(Ok(reference));
        }
        outgoing.poll();
        outgoing.reported(report(&numbers()[1], 1, Some(false)));
        outgoing.reported(report("+4915100000000", 2, Some(false)));
        assert_eq!(outgoing.poll(), None, "expected reports of others to change nothing");
        // As the service centre writes numbers of its own country.
        outgoing.reported(report("015112345678", 1, Some(true)));
        assert_eq!(outgoing.poll(), Some(SmsOutcome::Arrived("+49..5678".to_owned(), Ok(()))));
    }

    /// Guards against: a page that arrived at no phone and counts as told, since the network writes the number otherwise.
    #[test]
    fn a_report_counts_whose_number_is_in_a_form_of_its_country() {
        for (number, to) in [("+525512345678", "+5215512345678"), ("+5491112345678", "+541112345678")] {
            for is_early in [false, true] {
                let mut outgoing = Outgoing::default();
                outgoing.page("pi-31-1", "a", &[number.to_owned()]);
                outgoing.next_submit().unwrap();
                let lost = report(to, 1, Some(false));
                if is_early {
                    outgoing.reported(lost);
                    outgoing.submitted(Ok(1));
                } else {
                    outgoing.submitted(Ok(1));
                    outgoing.reported(report(to, 2, Some(false)));
                    outgoing.reported(lost);
                }
                assert_eq!(outgoing.poll(), Some(SmsOutcome::Page(Ok(()))));
                let failed = SmsOutcome::Arrived(masked(number), Err(0x46));
                assert_eq!(outgoing.poll(), Some(failed), "{to}, before its reference: {is_early}");
            }
        }
    }

    #[test]
    fn a_report_that_comes_before_the_reference_of_its_sms_counts() {
        let mut outgoing = Outgoing::default();
        outgoing.page("pi-31-1", "a", &numbers()[..1]);
        outgoing.next_submit().unwrap();
        outgoing.reported(report(&numbers()[0], 1, Some(false)));
        assert_eq!(outgoing.poll(), None);
        outgoing.submitted(Ok(1));
        assert_eq!(outgoing.poll(), Some(SmsOutcome::Page(Ok(()))));
        assert_eq!(outgoing.poll(), Some(SmsOutcome::Arrived("+49..5678".to_owned(), Err(0x46))));
        assert!(matches!(outgoing.poll(), Some(SmsOutcome::Lost(..))));
        // One of another SMS to the number is not taken for that of the next.
        outgoing.page("pi-32-1", "a", &numbers()[..1]);
        outgoing.next_submit().unwrap();
        outgoing.reported(report(&numbers()[0], 9, Some(false)));
        outgoing.submitted(Ok(2));
        assert_eq!((outgoing.poll(), outgoing.poll()), (Some(SmsOutcome::Page(Ok(()))), None));
    }

    /// Guards against: the network takes an SMS and no phone ever shows it.
    #[test]
    fn a_page_that_arrives_at_no_phone_is_lost_and_one_that_arrives_at_one_is_not() {
        let mut outgoing = Outgoing::default();
        let mut page = |id: &str, first: u8, reports: [bool; 2]| {
            outgoing.page(id, "a", &numbers());
            for reference in [first, first + 1] {
                outgoing.next_submit().unwrap();
                outgoing.submitted(Ok(reference));
            }
            for (ix, arrived) in reports.into_iter().enumerate() {
                outgoing.reported(report(&numbers()[ix], first + ix as u8, Some(arrived)));
            }
            std::iter::from_fn(|| outgoing.poll())
                .filter(|outcome| matches!(outcome, SmsOutcome::Lost(..)))
                .collect::<Vec<_>>()
        };
        assert_eq!(page("pi-31-1", 1, [true, false]), []);
        let why = "SMS to +49..4321 did not arrive".to_owned();
        assert_eq!(page("pi-31-2", 11, [false, false]), [SmsOutcome::Lost("pi-31-2".to_owned(), why)]);
    }

    #[test]
    fn a_number_that_fails_is_tried_once_more_after_the_others_and_another_attempt_leaves_out_who_has_it() {
        let mut outgoing = Outgoing::default();
        outgoing.page("pi-31-1", "a", &numbers());
        for result in [failed(false, false), Ok(1), failed(false, false)] {
            outgoing.next_submit().unwrap();
            outgoing.submitted(result);
        }
        assert_eq!(outgoing.poll(), Some(SmsOutcome::Failed("+49..5678".to_owned(), "no network".to_owned())));
        assert_eq!(outgoing.poll(), Some(SmsOutcome::Page(Ok(()))), "one has it");
        let each = [("+49..4321".to_owned(), Ok(())), ("+49..5678".to_owned(), Err("no network".to_owned()))];
        assert_eq!(outgoing.numbers(), each);
        outgoing.page("pi-31-1", "a", &numbers());
        assert!(outgoing.next_submit().unwrap().hex.contains("945111325476F8"), "the first number");
        outgoing.submitted(failed(false, true));
        assert_eq!(outgoing.poll(), Some(SmsOutcome::Failed("+49..5678".to_owned(), "no network".to_owned())));
        assert_eq!(outgoing.poll(), Some(SmsOutcome::Page(Ok(()))));
    }

    #[test]
    fn a_page_that_reaches_nobody_fails_with_the_reason() {
        let mut outgoing = Outgoing::default();
        outgoing.page("pi-31-1", "a", &numbers()[..1]);
        outgoing.next_submit().unwrap();
        outgoing.submitted(failed(true, false));
        outgoing.poll();
        let Some(SmsOutcome::Page(Err(failure))) = outgoing.poll() else { panic!("it failed") };
        assert_eq!((failure.retry, failure.may_have_arrived), (Retry::Few, false));
    }

    #[test]
    fn pages_go_before_answers_and_answers_end_at_their_cap() {
        let mut outgoing = Outgoing::default();
        for _ in 0..100 {
            outgoing.answer(Uptime(0), "+4915112345678", "31 taken");
        }
        outgoing.page("pi-31-1", "a", &numbers()[..1]);
        assert!(outgoing.next_submit().unwrap().hex.ends_with("0161"), "the page");
        outgoing.submitted(Ok(1));
        let mut answers = 0;
        while outgoing.next_submit().is_some() {
            outgoing.submitted(Ok(2));
            answers += 1;
        }
        assert!((1..=MAX_ANSWERS).contains(&answers), "{answers}");
    }
}

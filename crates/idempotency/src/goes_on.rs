use std::pin::Pin;
use std::task::{Context, Poll};

/// Work that goes on when whoever waits for it is gone: until its thread ends, which serves requests.
pub(crate) struct GoesOn<W: Future + 'static>(Option<Pin<Box<W>>>);

impl<W: Future + 'static> GoesOn<W> {
    pub(crate) fn new(work: W) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<W: Future + 'static> Future for GoesOn<W> {
    type Output = W::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<W::Output> {
        // Work that panics does not go on.
        let Some(mut work) = self.0.take() else { return Poll::Pending };
        let outcome = work.as_mut().poll(context);
        if outcome.is_pending() {
            self.0 = Some(work);
        }
        outcome
    }
}

impl<W: Future + 'static> Drop for GoesOn<W> {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            actix_web::rt::spawn(async move {
                work.await;
            });
        }
    }
}

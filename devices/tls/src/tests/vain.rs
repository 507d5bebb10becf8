//! A stream below that says it is ready, and then has nothing.

use super::*;
use core::cell::Cell;
use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;
use embedded_io_async::ErrorType;
use ip::{Progress, TcpOptions};
use kernel::task::yield_now;
use kernel::time::timeout;

/// Is always ready, and takes and gives nothing while it is told not to.
struct Vain<S>(S, Rc<Cell<bool>>);

impl<S: ip::Stream> Vain<S> {
    fn or_ready(&self, poll: Poll<Result<(), ip::Error>>) -> Poll<Result<(), ip::Error>> {
        if self.1.get() { Poll::Ready(Ok(())) } else { poll }
    }
}

impl<S: ip::Stream> ErrorType for Vain<S> {
    type Error = ip::Error;
}

impl<S: ip::Stream> Read for Vain<S> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ip::Error> {
        self.0.read(buf).await
    }
}

impl<S: ip::Stream> Write for Vain<S> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ip::Error> {
        self.0.write(buf).await
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        self.0.flush().await
    }
}

impl<S: ip::Stream> ip::Stream for Vain<S> {
    type Reader<'a>
        = S::Reader<'a>
    where
        Self: 'a;
    type Writer<'a>
        = S::Writer<'a>
    where
        Self: 'a;

    fn split(&mut self) -> (S::Reader<'_>, S::Writer<'_>) {
        self.0.split()
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, ip::Error>> {
        self.0.poll_read(context, buf)
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, ip::Error>> {
        self.0.poll_write(context, buf)
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        self.or_ready(self.0.poll_readable(context))
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        self.or_ready(self.0.poll_writable(context))
    }

    fn try_read(&self, buf: &mut [u8]) -> Result<Option<usize>, ip::Error> {
        if self.1.get() { Ok(None) } else { self.0.try_read(buf) }
    }

    fn try_peek(&self, buf: &mut [u8]) -> Result<Option<usize>, ip::Error> {
        if self.1.get() { Ok(None) } else { self.0.try_peek(buf) }
    }

    fn try_write(&self, buf: &[u8]) -> Result<Option<usize>, ip::Error> {
        if self.1.get() { Ok(None) } else { self.0.try_write(buf) }
    }

    fn progress(&self) -> Progress {
        self.0.progress()
    }

    fn options(&self) -> TcpOptions {
        self.0.options()
    }

    fn set_options(&self, options: TcpOptions) -> Result<(), ip::Error> {
        self.0.set_options(options)
    }

    async fn shutdown(&self) -> Result<(), ip::Error> {
        self.0.shutdown().await
    }

    async fn close(&mut self) -> Result<(), ip::Error> {
        self.0.close().await
    }

    fn abort(&self) {
        self.0.abort();
    }

    fn peer_addr(&self) -> SocketAddr {
        self.0.peer_addr()
    }

    fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }
}

#[test]
fn a_stream_below_that_is_ready_in_vain_keeps_nobody_from_running() {
    on_a_cable(async |near, far| {
        let listener = Server::new(far, server()).bind(port()).await.unwrap();
        let vain = Rc::new(Cell::new(true));
        let below = Vain(near.connect(port()).await.unwrap(), Rc::clone(&vain));
        let (accepted, _) = listener.accept().await.unwrap();
        let served = spawn(echo(accepted));
        let mut tls = Tls::connect(below, WWW, &client()).unwrap();
        let few = async |vain: &Cell<bool>| {
            for _ in 0..100 {
                yield_now().await;
            }
            vain.set(false);
        };
        // It neither takes the first message of the handshake nor gives an answer.
        join(async { tls.handshake().await.unwrap() }, few(&vain)).await;
        // What is written waits, and so does who reads and who flushes.
        tls.write_all(b"some").await.unwrap();
        tls.flush().await.unwrap();
        vain.set(true);
        let mut back = [0; 8];
        let both = async {
            let (mut reader, mut writer) = tls.split();
            let write = async { writer.write_all(b"more").await.unwrap() };
            join(async { reader.read_exact(&mut back).await.unwrap() }, write).await;
        };
        let done = timeout(Duration::from_secs(9), join(both, few(&vain))).await;
        done.unwrap();
        assert_eq!(&back, b"somemore");
        vain.set(true);
        tls.try_write(b"last").unwrap();
        let flushed = async { poll_fn(|context| tls.poll_flush(context)).await.unwrap() };
        join(flushed, few(&vain)).await;
        drop(served);
    });
}

//! Handlers of tests and fuzz targets, without the signature that each of them has.

/// Makes a type a handler: `handler!(Type, |self, request, body, response| { ... })`. Where
/// it is used, the names of the server and of `embedded_io_async` are in scope.
macro_rules! handler {
    ($type:ty, |$this:ident, $request:pat_param, $body:ident, $response:ident| $does:block) => {
        impl Handler for $type {
            async fn handle<R, W>(
                &$this,
                $request: &Request<'_>,
                $body: &mut Body<'_, R, W>,
                $response: Response<'_>,
            ) -> Result<(), Error>
            where
                R: Read<Error = ip::Error>,
                W: Write<Error = ip::Error>,
            $does
        }
    };
}

# Two nodes of Erlang, one of which answers the other's ping, and processes.
export HOME=/tmp
erl -noshell -detached -name one@127.0.0.1 -setcookie xenith
erl -noshell -name two@127.0.0.1 -setcookie xenith -eval '
Ping = fun Ping(0) -> pang; Ping(N) -> case net_adm:ping(list_to_atom("one@127.0.0.1")) of
	pong -> pong; pang -> timer:sleep(500), Ping(N - 1) end end,
io:format("erlang: ~p~n", [Ping(60)]),
Self = self(),
[spawn(fun() -> Self ! N * N end) || N <- lists:seq(1, 1000)],
Sum = lists:sum([receive It -> It end || _ <- lists:seq(1, 1000)]),
io:format("erlang: sum ~p~n", [Sum]),
io:format("erlang: child ~s", [os:cmd("echo of a shell")]),
rpc:call(list_to_atom("one@127.0.0.1"), init, stop, []),
init:stop().'

# Asks Debian's redis-server by RESP, as its protocol's inline commands allow: a snapshot by fork, the
# log of commands rewritten, a script in Lua.
ask() { { printf '%s\r\n' "$@" QUIT; } | nc -w 5 "$IP" 6379 | tr -d '\r'; }
want() { [ "$1" = "$2" ] || { echo "instead of $2: $1"; exit 1; }; }
want "$(ask PING 'SET key one' 'GET key')" "$(printf '+PONG\n+OK\n$3\none\n+OK')"
want "$(ask "EVAL 'return redis.call(\"append\", KEYS[1], \"two\")' 1 key" 'GET key')" \
	"$(printf ':6\n$6\nonetwo\n+OK')"
ask BGSAVE
for _ in $(seq 50); do
	ask 'INFO persistence' | grep -q '^rdb_saves:1' && break
	sleep 0.1
done
ask 'INFO persistence' | grep '^rdb_last_bgsave_status:ok'
ask BGREWRITEAOF
for _ in $(seq 50); do
	ask 'INFO persistence' | grep -q '^aof_rewrites:1' && break
	sleep 0.1
done
ask 'INFO persistence' | grep '^aof_last_bgrewrite_status:ok'
# From what was written alone.
ask 'DEBUG LOADAOF' >/dev/null
want "$(ask 'GET key')" "$(printf '$6\nonetwo\n+OK')"

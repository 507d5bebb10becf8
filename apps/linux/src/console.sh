# A session at the console, by keys: what a user types into `xl console` on a terminal, which is
# script(1)'s, and what is to be seen.
mkdir -p /var/lock
rm -f /tmp/keys /tmp/seen
mkfifo /tmp/keys
trap '' PIPE
trap '[ $? = 0 ] || tail -c 2000 /tmp/seen' EXIT
script -q -c "xl console $NAME" /dev/null </tmp/keys >/tmp/seen 2>&1 &
exec 3>/tmp/keys
shown=0
# type KEYS WORDS [AGAIN]: types, and waits until the words stand behind what was seen before. Keys
# that do nothing where they come too early are typed again.
type() {
	tries=0
	printf "$1" >&3
	until tail -c +$((shown + 1)) /tmp/seen | tr '\r\n' '  ' | grep -qF -e "$2"; do
		sleep 0.1
		[ $((tries += 1)) -lt 200 ] || {
			echo "typed $1 and waited for $2 behind $shown bytes; seen:"
			exit 1
		}
		[ -z "${3-}" ] || [ $((tries % 20)) -gt 0 ] || printf "$1" >&3
	done
	shown=$(stat -c %s /tmp/seen)
}
# The shell that edits lines says with its prompt that it reads again.
type '\r' '# ' again
type 'stty size\r' ' 33 99 '
type 'seq 3 | sort -r | tr "\\n" :; echo\r' ' 3:2:1: '
type 'cat <<E | tr a-z A-Z\rline $((6 * 7))\rE\r' ' LINE 42 '
# The keys of its editor: some are deleted, a line comes back from the history.
type 'echo axb\177\177bc\r' ' abc '
type '\033[A\r' ' abc '
# A job is stopped, goes on in the background, comes to the foreground and ends.
type 'sh -c "echo \\$((40 + 1)); exec sleep 1000"\r' ' 41 '
type '\032' 'Stopped' again
type 'bg\r' '# '
type 'jobs\r' 'Running' again
type 'fg\r' 'sleep 1000'
type '\003' '# ' again
type 'echo status $?\r' ' status '
# In the background a program may not read, and in the foreground ^D ends what it reads.
type 'cat &\r' '# '
type 'jobs\r' 'Stopped (tty input)' again
type 'fg\r' 'cat '
type 'more\r' 'more  more '
type '\004' '# '
type 'exit 7\r' 'exit 7'
exec 3>&-

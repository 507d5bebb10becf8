# Runs a program of each language, then a server in Python and one in Go.
cd /tmp
say() {
	while read -r line; do
		echo "$1: $line"
	done
}
python3 /python.py
perl -e 'local $SIG{ALRM} = sub { die "alarm\n" }; alarm 1; eval { select undef, undef, undef, 5 };
	print $@; open my $pipe, "-|", "sh", "-c", "echo child"; print <$pipe>' | say perl
lua5.4 -e 'print(io.popen("echo child"):read("l") .. " " .. select(2, pcall(error, "caught", 0)))' | say lua
# Threads that search files.
rg --threads 4 --count --no-filename "class _UnixSelectorEventLoop" /usr/lib/python3.11 | say rust
# An exception that is thrown and caught.
jsonnet -e '{ a: 6 * 7 }.a' | say c++
jsonnet -e 'error "thrown"' 2>&1 | say c++
printf '#!/bin/sh\necho $1\n' > script
shellcheck -f gcc script | say haskell
python3 -m http.server --directory /usr/share/python3 8000 &
exec webhook -hooks /hooks.json -port 80 -verbose

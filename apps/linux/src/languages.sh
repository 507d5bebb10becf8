# Asks the server in Go, which starts a child for each request, and the one in Python.
ask() { curl -sf -m 20 --retry 9 --retry-connrefused "$@"; }
got=$(ask "http://$IP/hooks/echo?word=hello")
[ "$got" = hello ] || { echo "Go says: $got" >&2; exit 1; }
for i in 1 2 3 4 5 6 7 8; do
	ask -o "word$i" "http://$IP/hooks/echo?word=$i" &
done
wait
got=$(cat word[1-8] | tr -d '\n')
[ "$got" = 12345678 ] || { echo "Go says: $got" >&2; exit 1; }
ask -o list "http://$IP:8000/"
grep -q "Directory listing" list || { cat list >&2; exit 1; }

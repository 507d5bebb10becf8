# What a client sees of api: curl.
url=http://$IP:80/notes
status() {
	curl -s -o /dev/null -w '%{http_code}' "$@"
}
json='Content-Type: application/json'

[ "$(curl -sf $url)" = '[]' ]
for id in 1 2; do
	curl -sf -D /tmp/head -H "$json" -d "{\"text\":\"note $id\"}" $url >/tmp/made
	grep -q "^Location: /notes/$id" /tmp/head
	grep -q "^{\"id\":$id,\"from\":\"[0-9.]*\",\"text\":\"note $id\"}$" /tmp/made
	curl -sf $url/$id | cmp - /tmp/made
done
[ "$(curl -sf $url | tr , '\n' | grep -c '"text":"note [12]"')" = 2 ]
[ "$(status -X DELETE $url/1)" = 204 ]
[ "$(status $url/1)" = 404 ]
[ "$(curl -sf $url | tr , '\n' | grep -c '"text"')" = 1 ]

# What is wrong is said in JSON, and one connection does for all of it.
[ "$(curl -s $url/1 $url/2 $url/x -w '%{num_connects} ' -o /dev/null -o /dev/null -o /dev/null)" = '1 0 0 ' ]
curl -s $url/1 | grep -q '^{"title":"Not Found","status":404}$'
curl -s -X PUT $url | grep -q '^{"title":"Method Not Allowed","status":405,"detail":"The method is not allowed here"}$'
curl -s -H "$json" -d '{"text":1}' $url | grep -q '"status":400,"detail":"the JSON is wrong: .* at line 1 column 9"'
[ "$(status -H "$json" -d '{"text":' $url)" = 400 ]
[ "$(status -d x $url)" = 415 ]
head -c 2000 /dev/zero | tr '\0' ' ' >/tmp/long
[ "$(status -H "$json" --data-binary @/tmp/long $url)" = 413 ]
curl -sI $url/2 | grep -qi '^content-type: application/json'

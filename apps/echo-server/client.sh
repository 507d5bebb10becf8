# What clients see of echo-server: nc by TCP, with content, and by UDP.
[ "$(echo hello | nc.openbsd -N -w 3 $IP 7)" = hello ]
head -c 1000000 /dev/urandom >/tmp/sent
nc.openbsd -N -w 10 $IP 7 </tmp/sent >/tmp/back
cmp /tmp/sent /tmp/back
# It leaves at the end of its input without waiting for an answer.
[ "$( (echo datagram; sleep 1) | nc.openbsd -u -w 2 $IP 7)" = datagram ]
# In fragments, both ways.
head -c 4000 /tmp/sent >/tmp/long
(cat /tmp/long; sleep 1) | nc.openbsd -u -w 2 $IP 7 >/tmp/back
cmp /tmp/long /tmp/back
# Nobody has that port, which nc hears of, as it does not of the one that is there.
nc.openbsd -u -z -w 1 $IP 7
! nc.openbsd -u -z -w 1 $IP 8
# Nobody listens there: a refusal, at once.
! nc.openbsd -w 3 $IP 8 </dev/null

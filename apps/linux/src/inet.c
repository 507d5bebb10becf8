// ip(7), ipv6(7), tcp(7), udp(7), socket(7): options over loopback, struct tcp_info, names and errors at the end
#include "show.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <linux/tcp.h>
struct option {
  int level, name;
  const char *text;
  int is_set;
};
#define O(level, name) {level, name, #name, 0}
// Those that are set as well.
#define S(level, name) {level, name, #name, 1}
static const struct option options[] = {
    S(SOL_SOCKET, SO_DEBUG), S(SOL_SOCKET, SO_REUSEADDR), S(SOL_SOCKET, SO_TYPE), O(SOL_SOCKET, SO_ERROR), S(SOL_SOCKET, SO_DONTROUTE), S(SOL_SOCKET, SO_BROADCAST), O(SOL_SOCKET, SO_SNDBUF), O(SOL_SOCKET, SO_RCVBUF), S(SOL_SOCKET, SO_KEEPALIVE), S(SOL_SOCKET, SO_OOBINLINE), S(SOL_SOCKET, SO_NO_CHECK), S(SOL_SOCKET, SO_PRIORITY), O(SOL_SOCKET, SO_LINGER), S(SOL_SOCKET, SO_REUSEPORT), O(SOL_SOCKET, SO_RCVLOWAT), S(SOL_SOCKET, SO_SNDLOWAT), O(SOL_SOCKET, SO_RCVTIMEO), O(SOL_SOCKET, SO_SNDTIMEO), O(SOL_SOCKET, SO_TIMESTAMP), S(SOL_SOCKET, SO_ACCEPTCONN), O(SOL_SOCKET, SO_TIMESTAMPNS), O(SOL_SOCKET, SO_MARK), S(SOL_SOCKET, SO_PROTOCOL), S(SOL_SOCKET, SO_DOMAIN), O(SOL_SOCKET, SO_RXQ_OVFL), O(SOL_SOCKET, SO_BUSY_POLL), O(SOL_SOCKET, SO_SNDBUFFORCE),
    S(IPPROTO_IP, IP_TOS), S(IPPROTO_IP, IP_TTL), O(IPPROTO_IP, IP_HDRINCL), O(IPPROTO_IP, IP_RECVOPTS), O(IPPROTO_IP, IP_RETOPTS), O(IPPROTO_IP, IP_PKTINFO), S(IPPROTO_IP, IP_MTU_DISCOVER), O(IPPROTO_IP, IP_RECVERR), S(IPPROTO_IP, IP_RECVTTL), O(IPPROTO_IP, IP_RECVTOS), O(IPPROTO_IP, IP_MTU), O(IPPROTO_IP, IP_FREEBIND), O(IPPROTO_IP, IP_TRANSPARENT), O(IPPROTO_IP, IP_RECVORIGDSTADDR), O(IPPROTO_IP, IP_MINTTL), O(IPPROTO_IP, IP_NODEFRAG), S(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), O(IPPROTO_IP, IP_MULTICAST_IF), O(IPPROTO_IP, IP_MULTICAST_TTL), O(IPPROTO_IP, IP_MULTICAST_LOOP), O(IPPROTO_IP, IP_MULTICAST_ALL), O(IPPROTO_IP, IP_UNICAST_IF), O(IPPROTO_IP, 999),
    S(IPPROTO_IPV6, IPV6_UNICAST_HOPS), O(IPPROTO_IPV6, IPV6_MULTICAST_IF), O(IPPROTO_IPV6, IPV6_MULTICAST_HOPS), O(IPPROTO_IPV6, IPV6_MULTICAST_LOOP), S(IPPROTO_IPV6, IPV6_MTU_DISCOVER), O(IPPROTO_IPV6, IPV6_MTU), S(IPPROTO_IPV6, IPV6_RECVERR), S(IPPROTO_IPV6, IPV6_V6ONLY), O(IPPROTO_IPV6, IPV6_RECVPKTINFO), O(IPPROTO_IPV6, IPV6_RECVHOPLIMIT), S(IPPROTO_IPV6, IPV6_TCLASS), O(IPPROTO_IPV6, IPV6_RECVTCLASS), O(IPPROTO_IPV6, IPV6_DONTFRAG), O(IPPROTO_IPV6, IPV6_UNICAST_IF), O(IPPROTO_IPV6, IPV6_FREEBIND), O(IPPROTO_IPV6, IPV6_TRANSPARENT), O(IPPROTO_IPV6, IPV6_MINHOPCOUNT), O(IPPROTO_IPV6, 999),
    S(IPPROTO_TCP, TCP_NODELAY), S(IPPROTO_TCP, TCP_MAXSEG), S(IPPROTO_TCP, TCP_CORK), S(IPPROTO_TCP, TCP_KEEPIDLE), S(IPPROTO_TCP, TCP_KEEPINTVL), S(IPPROTO_TCP, TCP_KEEPCNT), S(IPPROTO_TCP, TCP_SYNCNT), O(IPPROTO_TCP, TCP_LINGER2), S(IPPROTO_TCP, TCP_DEFER_ACCEPT), O(IPPROTO_TCP, TCP_WINDOW_CLAMP), S(IPPROTO_TCP, TCP_QUICKACK), S(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS), S(IPPROTO_TCP, TCP_USER_TIMEOUT), S(IPPROTO_TCP, TCP_FASTOPEN), O(IPPROTO_TCP, TCP_FASTOPEN_CONNECT), S(IPPROTO_TCP, TCP_NOTSENT_LOWAT), O(IPPROTO_TCP, TCP_SAVE_SYN), O(IPPROTO_TCP, TCP_REPAIR), O(IPPROTO_TCP, TCP_INQ), O(IPPROTO_TCP, 999),
    O(IPPROTO_UDP, 1), O(IPPROTO_UDP, 999), O(99, 1)};
#define COUNT (int)(sizeof options / sizeof *options)
static void read_option(int s, const struct option *o, int room) {
  unsigned char v[64];
  memset(v, 0xee, sizeof v);
  socklen_t n = room;
  errno = 0;
  if (getsockopt(s, o->level, o->name, v, &n)) {
    printf(" %s", strerrorname_np(errno));
    return;
  }
  int number;
  memcpy(&number, v, 4);
  if (o->level == SOL_SOCKET && o->name == SO_INCOMING_CPU)
    number = 0;
  if (n == 4)
    printf(" %d", number);
  else {
    printf(" %d bytes", n);
    for (unsigned i = 0; i < n && i < 16; i++)
      printf(" %d", v[i]);
  }
}
static void read_all(const char *what, int s) {
  puts(what);
  for (int i = 0; i < COUNT; i++) {
    printf("  %d %s:", options[i].level, options[i].text);
    read_option(s, options + i, 64);
    puts("");
  }
}
// What is set, and what is told of it then.
static void set_all(int s) {
  static const int values[] = {1, 0, -1, 2, 100, 70000};
  for (int i = 0; i < COUNT; i++) {
    const struct option *o = options + i;
    if (!o->is_set)
      continue;
    printf("  %d %s:", o->level, o->text);
    for (int j = 0; j < 6; j++) {
      errno = 0;
      if (setsockopt(s, o->level, o->name, values + j, 4))
        printf(" %s", strerrorname_np(errno));
      else
        read_option(s, o, 4);
      printf(j < 5 ? "," : "");
    }
    // Too short, and nowhere.
    char byte = 3;
    errno = 0;
    printf("; %s", setsockopt(s, o->level, o->name, &byte, 1) ? strerrorname_np(errno) : "set");
    errno = 0;
    printf(" %s\n", setsockopt(s, o->level, o->name, (void *)8, 4) ? strerrorname_np(errno) : "set");
  }
}
// What was sent last may not be acknowledged yet.
static int state_of(const struct tcp_info *i) { return i->tcpi_state == 4 ? 5 : i->tcpi_state; }
// Waits until it has come to this state, and what it has sent is acknowledged.
static void comes_to(int s, int state) {
  struct tcp_info i;
  socklen_t n = sizeof i;
  UNTIL(getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &n) || (state_of(&i) == state && (state == 10 || (!i.tcpi_unacked && !i.tcpi_ca_state))));
}
static void info(const char *what, int s, int state) {
  struct tcp_info i;
  memset(&i, 0xee, sizeof i);
  socklen_t n = sizeof i;
  comes_to(s, state);
  errno = 0;
  if (getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &n))
    printf("%s: %s\n", what, strerrorname_np(errno));
  else
    printf("%s: %s bytes, state %d ca %d retransmits %d probes %d backoff %d lost %d retrans %d window %s\n", what, n >= 104 ? "enough" : "few", state_of(&i), i.tcpi_ca_state, i.tcpi_retransmits, i.tcpi_probes, i.tcpi_backoff, i.tcpi_lost, i.tcpi_retrans, i.tcpi_snd_cwnd ? "yes" : "no");
  if (i.tcpi_state == 1)
    IS(i.tcpi_snd_mss >= 536 && i.tcpi_advmss >= 536 && i.tcpi_rto && i.tcpi_rtt && i.tcpi_rcv_space && i.tcpi_pmtu >= 1280);
  if (i.tcpi_state == 10)
    printf("  waiting %d of %d\n", i.tcpi_unacked, i.tcpi_sacked);
}
static void names(const char *what, int s) {
  struct sockaddr_in6 a;
  socklen_t n = sizeof a;
  char own[50], other[50];
  errno = 0;
  snprintf(own, 50, "%s", getsockname(s, (void *)&a, &n) ? strerrorname_np(errno) : a.sin6_port ? "a port" : "none");
  n = sizeof a, errno = 0;
  snprintf(other, 50, "%s", getpeername(s, (void *)&a, &n) ? strerrorname_np(errno) : a.sin6_port ? "a port" : "none");
  n = 4;
  int error = -1;
  getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &n);
  struct pollfd p = {s, POLLIN | POLLOUT | POLLRDHUP, 0};
  poll(&p, 1, 0);
  printf("%s: own %s peer %s error %s events %x\n", what, own, other, error > 0 ? strerrorname_np(error) : error ? "?" : "none", p.revents);
}
static struct sockaddr_in door = {.sin_family = AF_INET};
static int l, c, s;
static void join(void) {
  c = socket(AF_INET, SOCK_STREAM, 0);
  connect(c, (void *)&door, sizeof door);
  s = accept(l, 0, 0);
}
static void let_go(void) { close(c), close(s); }
static struct linger no_time = {1, 0};
int main(void) {
  signal(SIGPIPE, SIG_IGN);
  int t4 = socket(AF_INET, SOCK_STREAM, 0), u4 = socket(AF_INET, SOCK_DGRAM, 0), t6 = socket(AF_INET6, SOCK_STREAM, 0), u6 = socket(AF_INET6, SOCK_DGRAM, 0), value;
  char b[100];
  read_all("TCP", t4), read_all("UDP", u4), read_all("TCP by IPv6", t6), read_all("UDP by IPv6", u6);
  puts("set"), set_all(t4), puts("of UDP"), set_all(u4), puts("of IPv6"), set_all(t6), puts("of UDP by IPv6"), set_all(u6);
  close(t4), close(u4), close(t6), close(u6);
  // Lengths.
  t4 = socket(AF_INET, SOCK_STREAM, 0);
  socklen_t n;
  for (int i = -1; i < 6; i++) {
    n = i, value = -1, errno = 0;
    int r = getsockopt(t4, IPPROTO_TCP, TCP_KEEPIDLE, &value, &n);
    printf("length %d: %s %d %x", i, r ? strerrorname_np(errno) : "got", (int)n, value);
    n = i, value = -1, errno = 0;
    r = getsockopt(t4, IPPROTO_IP, IP_TTL, &value, &n);
    printf(", %s %d %x", r ? strerrorname_np(errno) : "got", (int)n, value);
    n = i, value = -1, errno = 0;
    r = getsockopt(t4, SOL_SOCKET, SO_TYPE, &value, &n);
    printf(", %s %d %x\n", r ? strerrorname_np(errno) : "got", (int)n, value);
  }
  n = 4;
  SHOW(getsockopt(t4, SOL_SOCKET, SO_TYPE, (void *)8, &n));
  SHOW(getsockopt(t4, SOL_SOCKET, SO_TYPE, &value, (void *)8));
  SHOW(getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &n));
  SHOW(getsockopt(999, SOL_SOCKET, SO_TYPE, &value, &n));
  n = 16;
  SHOW(getsockopt(t4, IPPROTO_TCP, TCP_CONGESTION, b, &n) ?: (int)n);
  SHOW(setsockopt(t4, IPPROTO_TCP, TCP_CONGESTION, "none such", 9));
  SHOW(setsockopt(t4, IPPROTO_TCP, TCP_CONGESTION, b, strlen(b)));
  n = 16;
  SHOW(getsockopt(t4, IPPROTO_TCP, TCP_ULP, b, &n) ?: (int)n);
  SHOW(setsockopt(t4, IPPROTO_TCP, TCP_ULP, "none", 4));
  // States.
  info("fresh", t4, 7);
  names("fresh", t4);
  SHOW(shutdown(t4, SHUT_RDWR));
  close(t4);
  l = socket(AF_INET, SOCK_STREAM, 0);
  door.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(l, (void *)&door, sizeof door);
  info("bound", l, 7), names("bound", l);
  listen(l, 5);
  n = sizeof door, getsockname(l, (void *)&door, &n);
  info("listening", l, 10), names("listening", l);
  c = socket(AF_INET, SOCK_STREAM, 0);
  connect(c, (void *)&door, sizeof door);
  arrives(l, POLLIN);
  info("with one", l, 10);
  s = accept(l, 0, 0);
  info("without", l, 10);
  info("client", c, 1), info("server", s, 1), names("client", c), names("server", s);
  value = 0, n = 4;
  static const struct option connected[] = {O(IPPROTO_IP, IP_MTU), O(IPPROTO_TCP, TCP_NODELAY), O(IPPROTO_TCP, TCP_QUICKACK), O(IPPROTO_TCP, TCP_DEFER_ACCEPT), O(SOL_SOCKET, SO_ERROR), O(IPPROTO_IP, IP_TTL), O(IPPROTO_TCP, TCP_INFO + 100)};
  for (int i = 0; i < 7; i++)
    printf("%s:", connected[i].text), read_option(c, connected + i, 4), puts("");
  write(c, "hello", 5), holds(s, 5);
  info("after a write", c, 1), info("with bytes", s, 1);
  read(s, b, 9);
  write(s, "answer", 6), read(c, b, 9);
  info("after an answer", c, 1);
  SHOW(shutdown(c, SHUT_WR));
  info("who ended", c, 5), info("who was told", s, 8), names("who ended", c), names("who was told", s);
  SHOW(read(s, b, 9));
  SHOW(shutdown(s, SHUT_WR));
  info("both ended", c, 7), info("the second", s, 7), names("both ended", c), names("the second", s);
  SHOW(read(c, b, 9));
  SHOW(write(c, b, 1));
  SHOW(shutdown(c, SHUT_RD));
  SHOW(shutdown(c, SHUT_RDWR));
  SHOW(connect(c, (void *)&door, sizeof door));
  let_go();
  // The other one is closed.
  join();
  close(c);
  info("the peer is gone", s, 8), names("the peer is gone", s);
  SHOW(write(s, b, 1));
  info("a reset came", s, 7), names("a reset came", s), names("and was told", s);
  SHOW(write(s, b, 1));
  SHOW(read(s, b, 1));
  close(s);
  // It is closed while this one has ended: nothing is told.
  join();
  shutdown(s, SHUT_WR), comes_to(s, 5), comes_to(c, 8);
  close(c);
  info("ended and gone", s, 7), names("ended and gone", s);
  SHOW(read(s, b, 1));
  close(s);
  // Resets in each state.
  for (int how = 0; how < 4; how++) {
    join();
    printf("reset %d\n", how);
    setsockopt(c, SOL_SOCKET, SO_LINGER, &no_time, sizeof no_time);
    if (how == 1)
      shutdown(s, SHUT_WR), comes_to(s, 5), comes_to(c, 8);
    if (how >= 2)
      shutdown(c, SHUT_WR), comes_to(c, 5), comes_to(s, 8);
    if (how == 3)
      shutdown(s, SHUT_WR), comes_to(s, 7), comes_to(c, 7);
    close(c);
    info("reset", s, 7), names("reset", s), names("again", s);
    SHOW(read(s, b, 1));
    SHOW(write(s, b, 1));
    close(s);
  }
  // What was not read is a reset.
  join();
  write(s, "lost", 4), holds(c, 4), shutdown(s, SHUT_WR), comes_to(s, 5), comes_to(c, 8);
  close(c);
  info("unread", s, 7), names("unread", s), names("again", s);
  SHOW(read(s, b, 1));
  close(s);
  // Disconnected.
  join();
  SHOW(connect(c, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr)));
  info("disconnected", c, 7), comes_to(s, 7), names("its peer", s);
  SHOW(read(s, b, 1));
  let_go();
  // Refused, and by nobody's address.
  c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in none = door;
  s = socket(AF_INET, SOCK_STREAM, 0), none.sin_port = 0, bind(s, (void *)&none, sizeof none), n = sizeof none, getsockname(s, (void *)&none, &n);
  connect(c, (void *)&none, sizeof none);
  info("refused", c, 7);
  for (int i = 0; i < 2; i++) {
    struct pollfd p = {c, POLLIN | POLLOUT | POLLRDHUP, 0};
    value = -1, n = 4;
    getsockopt(c, SOL_SOCKET, SO_ERROR, &value, &n), poll(&p, 1, 0);
    printf("refused: %d %x\n", value, p.revents);
  }
  let_go();
  // UDP.
  u4 = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);
  names("a datagram socket", u4);
  none.sin_port = 0, bind(s, (void *)&none, sizeof none), n = sizeof none, getsockname(s, (void *)&none, &n);
  SHOW(connect(u4, (void *)&none, sizeof none));
  names("connected", u4);
  SHOW(send(u4, "x", 1, 0));
  holds(s, 1), close(s);
  SHOW(send(u4, "x", 1, 0));
  arrives(u4, POLLERR);
  names("refused", u4), names("again", u4);
  SHOW(send(u4, "x", 1, 0));
  arrives(u4, POLLERR);
  SHOW(send(u4, "x", 1, 0));
  usleep(3000);
  SHOW(recv(u4, b, 1, MSG_DONTWAIT));
  SHOW(shutdown(u4, SHUT_RD));
  SHOW(recv(u4, b, 1, 0));
  SHOW(shutdown(u4, SHUT_WR));
  SHOW(send(u4, "x", 1, 0));
  SHOW(connect(u4, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr)));
  SHOW(getpeername(u4, (void *)&none, &n));
  SHOW(listen(u4, 1));
  SHOW(accept(u4, 0, 0));
  n = sizeof(struct tcp_info);
  SHOW(getsockopt(u4, IPPROTO_TCP, TCP_INFO, b, &n));
  // The order of errors.
#define EACH(call)                                                                                                                     \
  for (int fd = 998; fd < 1000; fd++) {                                                                                                \
    SHOW(call);                                                                                                                        \
  }
  dup2(open("/dev/null", O_RDWR), 998);
  struct msghdr m = {.msg_iov = (void *)8, .msg_iovlen = 1};
  EACH(sendmsg(fd, (void *)8, 0));
  EACH(sendmsg(fd, &m, 0));
  EACH(recvmsg(fd, (void *)8, 0));
  EACH(sendto(fd, (void *)(1UL << 63), 1, 0, 0, 0));
  EACH(sendto(fd, b, 1, 0, (void *)8, 16));
  EACH(recvfrom(fd, (void *)(1UL << 63), 1, 0, 0, 0));
  EACH(recvfrom(fd, b, 1, 0, (void *)8, (void *)8));
  EACH(sendmmsg(fd, (void *)8, 1, 0));
  EACH(recvmmsg(fd, (void *)8, 1, 0, 0));
  EACH(recvmmsg(fd, (void *)8, 1, 0, (void *)8));
  EACH(recvmmsg(fd, (void *)8, 1, 0, &((struct timespec){0, -1})));
  EACH(getsockopt(fd, 1, 1, b, (void *)8));
  EACH(setsockopt(fd, 1, 1, (void *)8, -1));
  EACH(bind(fd, (void *)8, 16));
  EACH(connect(fd, (void *)8, 16));
  EACH(accept4(fd, (void *)8, (void *)8, 99));
  EACH(getsockname(fd, (void *)8, (void *)8));
  EACH(shutdown(fd, 99));
  EACH(listen(fd, -1));
  u4 = socket(AF_INET, SOCK_DGRAM, 0);
  static char low[1];
  SHOW(sendto(u4, low, SIZE_MAX, 0, (void *)&none, sizeof none));
  SHOW(sendto(u4, b, 100000, 0, (void *)&none, sizeof none));
  SHOW(sendto(u4, (void *)8, 1, 0, (void *)&none, sizeof none));
  SHOW(sendto(u4, b, 1, 0, 0, 0));
  SHOW(sendto(u4, b, 1, 0, (void *)&none, -1));
  SHOW(sendto(u4, b, 1, 0, (void *)&none, 300));
  SHOW(sendto(u4, b, 1, 0, (void *)&none, 5));
  m = (struct msghdr){.msg_name = &none, .msg_namelen = -1};
  SHOW(sendmsg(u4, &m, 0));
  m = (struct msghdr){.msg_name = &none, .msg_namelen = 300};
  SHOW(sendmsg(u4, &m, 0));
  m = (struct msghdr){.msg_name = &none, .msg_namelen = 16, .msg_iov = (void *)8, .msg_iovlen = 1025};
  SHOW(sendmsg(u4, &m, 0));
  m.msg_iovlen = 1;
  SHOW(sendmsg(u4, &m, 0));
  m.msg_iov = &(struct iovec){b, -1}, m.msg_iovlen = 1;
  SHOW(sendmsg(u4, &m, 0));
  m.msg_iovlen = 0, m.msg_control = (void *)8, m.msg_controllen = 99;
  SHOW(sendmsg(u4, &m, 0));
  m.msg_control = 0;
  SHOW(sendmsg(u4, &m, 0));
  // What came is lost where its sender cannot be told.
  u4 = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, from;
  bind(u4, (void *)&own, sizeof own);
  n = sizeof own, getsockname(u4, (void *)&own, &n);
#define LOST(call)                                                                                                                     \
  sendto(u4, "lost", 4, 0, (void *)&own, sizeof own), arrives(u4, POLLIN);                                                             \
  SHOW(call);                                                                                                                          \
  SHOW(recv(u4, b, 9, MSG_DONTWAIT))
  n = 16;
  LOST(recvfrom(u4, b, 9, 0, (void *)8, &n));
  LOST(recvfrom(u4, b, 9, 0, (void *)&from, (void *)8));
  n = -1;
  LOST(recvfrom(u4, b, 9, 0, (void *)&from, &n));
  m = (struct msghdr){.msg_name = (void *)8, .msg_namelen = 16, .msg_iov = &(struct iovec){b, 9}, .msg_iovlen = 1};
  LOST(recvmsg(u4, &m, 0));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket ports against real sockets: chardev/socket.c, socket-open.c, addr.c,
 * telnet.c, websock.c. */
#include "tests/tern-test.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "tests/unit/chr-rig.h"
#include "chardev/socket.h"
#include "tests/modules.h"

static int unix_connect(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    if (connect(fd, (void *)&un, sizeof(un))) {
        close(fd);
        return -1;
    }
    return fd;
}

static int unix_listen(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    unlink(path);
    if (bind(fd, (void *)&un, sizeof(un)) || listen(fd, 1)) {
        abort();
    }
    return fd;
}

static int tcp_connect(const char *filename)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    const char *colon = strchr(strstr(filename, "127.0.0.1"), ':');
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons(atoi(colon + 1));
    if (connect(fd, (void *)&in, sizeof(in))) {
        abort();
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* What has come to fd, as far as `n` bytes. */
static ssize_t hear(int fd, char *buf, size_t n)
{
    size_t got = 0;

    LOOP_UNTIL(({
        ssize_t r = read(fd, buf + got, n - got);
        got += r > 0 ? r : 0;
        got == n || r == 0;
    }));
    return got;
}

TEST(unix_server_takes_one_client_after_another)
{
    char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL);
    CharPort *p = port_new("socket,id=s,path=%s,server=on,wait=off", path);
    char name[256], buf[8];
    Ear e;

    REQUIRE(p);
    ear_open(&e, p);
    for (int i = 0; i < 3; i++) {
        int fd = unix_connect(path);

        REQUIRE(fd >= 0);
        LOOP_UNTIL(e.f.open_told);
        p->drv->filename(p, name, sizeof(name));
        CHECK_CONTAINS(name, path);
        CHECK(!strncmp(name, "unix:", 5));
        CHECK_EQ(write(fd, "hello", 5), 5);
        LOOP_UNTIL(e.got->len == 5);
        CHECK_STR(e.got->str, "hello");
        CHECK_EQ(chr_write(&e.f, "world", 5), 5);
        CHECK_EQ(hear(fd, buf, 5), 5);
        CHECK_MEM(buf, "world", 5);
        close(fd);
        LOOP_UNTIL(!e.f.open_told);
        g_string_truncate(e.got, 0);
    }
    CHECK_STR(e.events->str, "OCOCOC");
    p->drv->filename(p, name, sizeof(name));
    CHECK(!strncmp(name, "disconnected:unix:", 18));
    ear_close(&e);
    port_del("s");
    CHECK(access(path, F_OK) < 0);
    g_rmdir(dir);
    g_free(path);
    g_free(dir);
}

TEST(input_stops_without_room_and_goes_on)
{
    char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL);
    CharPort *p = port_new("socket,id=s,path=%s,server=on,wait=off", path);
    Ear e;
    int fd;

    REQUIRE(p);
    ear_open(&e, p);
    e.room = 3;
    fd = unix_connect(path);
    CHECK_EQ(write(fd, "abcdefgh", 8), 8);
    LOOP_UNTIL(e.got->len == 3);
    /* The other end goes; what it said is still to be had. */
    close(fd);
    for (int i = 0; i < 50; i++) {
        loop_step(false);
    }
    CHECK_STR(e.got->str, "abc");
    CHECK(e.f.open_told);
    e.room = -1;
    chr_accept_input(&e.f);
    LOOP_UNTIL(!e.f.open_told);
    CHECK_STR(e.got->str, "abcdefgh");
    ear_close(&e);
    port_del("s");
    g_rmdir(dir);
    g_free(path);
    g_free(dir);
}

static void set(void *arg)
{
    *(bool *)arg = true;
}

TEST(output_waits_for_a_slow_reader)
{
    char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL);
    CharPort *p = port_new("socket,id=s,path=%s,server=on,wait=off", path);
    static char block[64 * 1024];
    size_t sent = 0, got = 0;
    bool called = false;
    Ear e;
    int fd;

    REQUIRE(p);
    ear_open(&e, p);
    fd = unix_connect(path);
    LOOP_UNTIL(e.f.open_told);
    for (ssize_t r; (r = chr_write(&e.f, block, sizeof(block))) > 0;) {
        sent += r;
        REQUIRE(sent < 64 << 20);
    }
    CHECK_EQ(chr_write(&e.f, block, 1), -EAGAIN);
    chr_on_writable(&e.f, set, &called);
    for (int i = 0; i < 20; i++) {
        loop_step(false);
    }
    CHECK(!called);
    while (got < sent) {
        ssize_t r = read(fd, block, sizeof(block));

        REQUIRE(r > 0);
        got += r;
    }
    LOOP_UNTIL(called);
    close(fd);
    ear_close(&e);
    port_del("s");
    g_rmdir(dir);
    g_free(path);
    g_free(dir);
}

TEST(descriptors_come_with_bytes)
{
    char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL);
    CharPort *p = port_new("socket,id=s,path=%s,server=on,wait=off", path);
    union { struct cmsghdr h; char room[CMSG_SPACE(sizeof(int))]; } ctl;
    char byte = 'x';
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
                          .msg_control = &ctl, .msg_controllen = sizeof(ctl) };
    int fds[2], fd, got;
    struct stat a, b;
    Ear e;

    REQUIRE(p);
    REQUIRE(!pipe(fds));
    ear_open(&e, p);
    fd = unix_connect(path);
    CHECK_EQ(chr_take_fd(&e.f), -1);
    for (int i = 0; i < 2; i++) {      /* the first is dropped for the second */
        ctl.h = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET,
                                  SCM_RIGHTS };
        memcpy(CMSG_DATA(&ctl.h), &fds[i], sizeof(int));
        CHECK_EQ(sendmsg(fd, &msg, 0), 1);
        LOOP_UNTIL(e.got->len == (size_t)i + 1);
    }
    got = chr_take_fd(&e.f);
    REQUIRE(got >= 0);
    fstat(got, &a);
    fstat(fds[1], &b);
    CHECK_EQ(a.st_ino, b.st_ino);
    CHECK(fcntl(got, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(chr_take_fd(&e.f), -1);
    /* And back. */
    CHECK(p->drv->add_fds(p, &fds[0], 1));
    CHECK_EQ(chr_write(&e.f, "y", 1), 1);
    LOOP_UNTIL(recvmsg(fd, &msg, MSG_DONTWAIT | MSG_PEEK) == 1);
    msg.msg_controllen = sizeof(ctl);
    CHECK_EQ(recvmsg(fd, &msg, 0), 1);
    CHECK_EQ(ctl.h.cmsg_type, SCM_RIGHTS);
    close(fd);
    close(got);
    close(fds[0]);
    close(fds[1]);
    ear_close(&e);
    port_del("s");
    g_rmdir(dir);
    g_free(path);
    g_free(dir);
}

TEST(client_connects_again)
{
    char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL);
    int fd, peer = -1;
    CharPort *p = port_new("socket,id=s,path=%s,reconnect=1", path);
    Ear e;

    REQUIRE(p);
    ear_open(&e, p);
    fd = unix_listen(path);            /* after the first attempt, or before  */
    LOOP_UNTIL(e.f.open_told);
    peer = accept(fd, NULL, NULL);
    CHECK(peer >= 0);
    close(peer);
    LOOP_UNTIL(!e.f.open_told);
    LOOP_UNTIL(e.f.open_told);
    peer = accept(fd, NULL, NULL);
    CHECK(peer >= 0);
    CHECK_STR(e.events->str, "OCO");
    close(peer);
    close(fd);
    ear_close(&e);
    port_del("s");
    unlink(path);
    g_rmdir(dir);
    g_free(path);
    g_free(dir);
}

TEST(removal_while_connecting)
{
    CharPort *p = port_new("socket,id=s,path=/proc/nonexistent/s,reconnect=1");

    REQUIRE(p);
    port_del("s");
    for (int i = 0; i < 20; i++) {
        loop_step(false);
        g_usleep(1000);
    }
    CHECK(!chr_find("s"));
}

TEST(telnet_over_tcp)
{
    CharPort *p = port_new("socket,id=t,host=127.0.0.1,port=0,telnet=on,"
                           "server=on,wait=off");
    static const char odd[] = "\377\375\001a\377\377b\377\372\030\0\377\360c"
                              "\377\363";
    char name[256], buf[32];
    Ear e;
    int fd;

    REQUIRE(p);
    ear_open(&e, p);
    p->drv->filename(p, name, sizeof(name));
    CHECK(!strncmp(name, "disconnected:telnet:127.0.0.1:", 30));
    fd = tcp_connect(name);
    CHECK_EQ(hear(fd, buf, 12), 12);
    CHECK_MEM(buf, "\377\373\001\377\373\003\377\373\000\377\375\000", 12);
    for (size_t i = 0; i < sizeof(odd) - 1; i++) {
        CHECK_EQ(write(fd, odd + i, 1), 1);
        loop_step(false);
    }
    LOOP_UNTIL(strchr(e.events->str, 'B'));
    CHECK_EQ((int)e.got->len, 4);
    CHECK_MEM(e.got->str, "a\377bc", 4);
    CHECK_EQ(chr_write(&e.f, "1\3772", 3), 3);
    CHECK_EQ(hear(fd, buf, 4), 4);
    CHECK_MEM(buf, "1\377\3772", 4);
    close(fd);
    LOOP_UNTIL(!e.f.open_told);
    ear_close(&e);
    port_del("t");
}

static const char ws_hello[] =
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
    "Connection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n";

TEST(websocket_request)
{
    GByteArray *r = g_byte_array_new();
    char big[WS_HEAD_MAX + 1];

    for (size_t n = 0; n < sizeof(ws_hello) - 1; n++) {
        CHECK_EQ(ws_request(ws_hello, n, r), 0);
    }
    CHECK_EQ((int)r->len, 0);
    CHECK_EQ(ws_request(ws_hello, sizeof(ws_hello) - 1, r),
             (ssize_t)sizeof(ws_hello) - 1);
    g_byte_array_append(r, (uint8_t *)"", 1);
    CHECK_CONTAINS((char *)r->data, "HTTP/1.1 101 ");
    CHECK_CONTAINS((char *)r->data, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    g_byte_array_set_size(r, 0);
    CHECK_EQ(ws_request("GET / HTTP/1.1\r\n\r\n", 18, r), -1);
    CHECK(!memcmp(r->data, "HTTP/1.1 400", 12));
    memset(big, 'x', sizeof(big));
    CHECK_EQ(ws_request(big, sizeof(big), r), -1);
    g_byte_array_free(r, true);
}

TEST(websocket_frames)
{
    /* RFC 6455 section 5.7: masked "Hello"; then an empty ping. */
    uint8_t in[] = { 0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d,
                     0x51, 0x58, 0x89, 0x80, 1, 2, 3, 4 };
    static const uint8_t bad[][6] = {
        { 0x82, 0x05 },                /* not masked                          */
        { 0xc2, 0x85 },                /* a reserved bit                      */
        { 0x81, 0x81, 0, 0, 0, 0 },    /* text                                */
        { 0x80, 0x81, 0, 0, 0, 0 },    /* goes on with nothing                */
        { 0x09, 0x80, 0, 0, 0, 0 },    /* a ping in pieces                    */
    };
    GByteArray *r = g_byte_array_new();
    char got[8] = "";
    WebSock w = { 0 };
    bool end = false;

    for (size_t i = 0; i < sizeof(in); i++) {
        if (ws_in(&w, in + i, 1, r, &end)) {
            size_t n = strlen(got);

            got[n] = in[i];
            got[n + 1] = '\0';
        }
    }
    CHECK_STR(got, "Hello");
    CHECK_EQ((int)r->len, 2);
    CHECK_MEM(r->data, "\x8a\0", 2);
    CHECK(!end);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t b[6];

        memcpy(b, bad[i], 6);
        w = (WebSock){ 0 };
        end = false;
        g_byte_array_set_size(r, 0);
        CHECK(!ws_in(&w, b, 6, r, &end));
        CHECK(end);
        CHECK_EQ(r->data[0], 0x88);
    }
    g_byte_array_free(r, true);
}

TEST(refusals)
{
    static const char *const rows[][2] = {
        { "socket,id=a", "Unable to parse FD number " },
        { "socket,id=a,host=x", "chardev: socket: no port given" },
        { "socket,id=a,path=/x,host=y",
          "None or one of 'path', 'fd' or 'host' option required." },
        { "socket,id=a,path=/x,server=on,reconnect=1",
          "'reconnect' option is incompatible with socket in server listen "
          "mode" },
        { "socket,id=a,path=/x,wait=on",
          "'wait' option is incompatible with socket in client connect mode" },
        { "socket,id=a,path=/x,websocket=on",
          "Websocket client is not implemented" },
        { "socket,id=a,fd=0999", "File descriptor '0999' is not a socket" },
        { "socket,id=a,path=/proc/nonexistent/x,server=on",
          "Failed to bind socket to /proc/nonexistent/x: No such file or "
          "directory" },
        { "socket,id=a,host=127.0.0.1,port=0,ipv4=off,ipv6=off,server=on",
          "Cannot disable IPv4 and IPv6 at same time" },
        { "socket,id=a,path=/x,tls-creds=no,server=on,wait=off",
          "No TLS credentials with id 'no'" },
        { "socket,id=a,host=h,port=1,tls-authz=z",
          "'tls_authz' option requires 'tls_creds' option" },
        { "null,id=a,foo=1", "Invalid parameter 'foo'" },
        { "foo,id=a", "'foo' is not a valid char driver name" },
        { "ringbuf,id=a,size=3",
          "size of ringbuf chardev must be power of two" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CHECK(!port_new("%s", rows[i][0]));
        CHECK_STR(chr_why, rows[i][1]);
        CHECK(!chr_find("a"));
    }
}

static Obj *creds(const char *id, const char *endpoint)
{
    Json *o = json_obj();
    Obj *obj;

    json_set_str(o, "endpoint", endpoint);
    obj = user_obj_add("tls-creds-anon", id, o, true, NULL);
    json_free(o);
    return obj;
}

/* What was taken before another option is refused is given back: the sanitizers
 * see what is not. */
static NO_TSA bool refused_in_json(const char *text, const char *want)
{
    Json *v = json_parse(text, strlen(text), NULL);
    Error *err = NULL;
    bool ok = v && !chr_add(v, false, &err) &&
              strstr(error_text(err), want) != NULL;

    error_free(err);
    json_free(v);
    return ok;
}

TEST(refusals_after_an_address)
{
    if (!machine_locked()) {
        machine_lock();
    }
    CHECK(refused_in_json("{\"id\": \"a\", \"backend\": \"socket\", "
        "\"addr\": {\"type\": \"unix\", \"path\": \"/no/socket\"}, "
        "\"logfile\": \"/proc/no/log\"}", "Could not create"));
    CHECK(refused_in_json("{\"id\": \"a\", \"backend\": \"udp\", \"remote\": "
        "{\"type\": \"inet\", \"host\": \"127.0.0.1\", \"port\": \"1\"}, "
        "\"logfile\": \"/proc/no/log\"}", "Could not create"));
}

TEST(tls_between_two_ports)
{
    static char block[100000], back[sizeof(block)];
    CharPort *a, *b;
    char name[256];
    size_t sent = 0;
    Ear x, y;

    if (!machine_locked()) {
        machine_lock();
    }
    if (!module_present("tls")) {
        SKIP("built without GnuTLS");
    }
    REQUIRE(creds("ts", "server") && creds("tc", "client"));
    CHECK(!port_new("socket,id=b,host=127.0.0.1,port=9,tls-creds=ts"));
    CHECK_STR(chr_why, "Expected TLS credentials for a client endpoint");
    a = port_new("socket,id=a,host=127.0.0.1,port=0,server=on,wait=off,"
                 "tls-creds=ts");
    REQUIRE(a);
    CHECK(!user_obj_del("ts", NULL));
    a->drv->filename(a, name, sizeof(name));
    b = port_new("socket,id=b,host=127.0.0.1,port=%d,tls-creds=tc",
                 atoi(strchr(strstr(name, "127."), ':') + 1));
    REQUIRE(b);
    ear_open(&x, a);
    ear_open(&y, b);
    LOOP_UNTIL(x.f.open_told && y.f.open_told);
    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] = i * 7 + (i >> 8);
    }
    while (sent < sizeof(block)) {
        ssize_t r = chr_write(&x.f, block + sent, sizeof(block) - sent);

        if (r > 0) {
            sent += r;
        } else {
            REQUIRE_EQ(r, -EAGAIN);
        }
        loop_step(false);
    }
    LOOP_UNTIL(y.got->len == sizeof(block));
    memcpy(back, y.got->str, sizeof(back));
    CHECK_MEM(back, block, sizeof(block));
    ear_close(&y);
    port_del("b");
    LOOP_UNTIL(!x.f.open_told);
    ear_close(&x);
    port_del("a");
    CHECK(user_obj_del("ts", NULL));
    CHECK(user_obj_del("tc", NULL));
}

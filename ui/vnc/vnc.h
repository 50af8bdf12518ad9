/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnc.h - the VNC server: a display per -vnc, its clients, and the encoder that
 * runs in worker threads. Protocol: RFC 6143, and "The RFB Protocol" as the
 * community keeps it (rfbproto.rst) for what came later.
 *
 * Everything runs in the main loop under the machine lock, but for what is in a
 * VncJob while it is with a worker.
 */
#ifndef UI_VNC_VNC_H
#define UI_VNC_VNC_H

#include <glib.h>
#include <zlib.h>
#include "chardev/addr.h"
#include "chardev/wire.h"
#include "console.h"
#include "tls.h"
#include "ui/keymaps.h"
#include "ui/pictures.h"

/* Security types; of VeNCrypt. */
enum { VNC_AUTH_NONE = 1, VNC_AUTH_VNC = 2, VNC_AUTH_VENCRYPT = 19,
       VNC_AUTH_SASL = 20 };
enum { VENC_NO = 0, VENC_TLS_NONE = 257, VENC_TLS_VNC, VENC_TLS_PLAIN,
       VENC_X509_NONE, VENC_X509_VNC, VENC_X509_PLAIN, VENC_X509_SASL,
       VENC_TLS_SASL };

/* Encodings. */
enum {
    ENC_RAW = 0, ENC_COPYRECT = 1, ENC_HEXTILE = 5, ENC_ZLIB = 6, ENC_TIGHT = 7,
    ENC_ZRLE = 16, ENC_TIGHT_PNG = -260,
    ENC_DESKTOP_SIZE = -223, ENC_LAST_RECT = -224, ENC_POINTER_MOTION = -257,
    ENC_CURSOR = -239, ENC_EXT_KEY = -258, ENC_AUDIO = -259, ENC_LED = -261,
    ENC_DESKTOP_NAME = -307, ENC_EXT_DESKTOP = -308, ENC_XVP = -309,
    ENC_ALPHA_CURSOR = -314,
    ENC_QUALITY_0 = -32, ENC_QUALITY_9 = -23, ENC_COMPRESS_0 = -256,
    ENC_COMPRESS_9 = -247,
};
enum {                                 /* VncClient.features                  */
    FEAT_RESIZE = 1 << 0, FEAT_EXT_RESIZE = 1 << 1, FEAT_POINTER = 1 << 2,
    FEAT_CURSOR = 1 << 3, FEAT_ALPHA_CURSOR = 1 << 4, FEAT_LED = 1 << 5,
    FEAT_XVP = 1 << 6, FEAT_EXT_KEY = 1 << 7, FEAT_LAST_RECT = 1 << 8,
    FEAT_NAME = 1 << 9, FEAT_AUDIO = 1 << 10,
};

#define VNC_TILE 32                    /* changes are noticed in these squares */
#define VNC_IN_MAX (1 << 20)           /* of one message                      */

typedef struct VncFormat {             /* PIXEL_FORMAT                        */
    uint8_t bits, depth;               /* 8, 16, 32                           */
    bool big, truecolor;
    uint16_t max[3];                   /* red, green, blue                    */
    uint8_t shift[3];
} VncFormat;

typedef struct VncRect {
    int x, y, w, h;
} VncRect;

/* What an encoder keeps between updates: belongs to the client's job while one
 * is running, else to nobody else. */
typedef struct VncCoder {
    z_stream zlib, zrle, tight[4];
    bool zlib_on, zrle_on, tight_on[4];
    int zlib_level, zrle_level, tight_level[4];
} VncCoder;

typedef struct VncClient VncClient;
typedef struct VncServer VncServer;

/* One update on its way through a worker: pixels are copies. */
typedef struct VncJob {
    PoolTask task;
    VncClient *client;                 /* NULL: it has gone meanwhile         */
    VncFormat format;
    bool native;                       /* the client's pixels are ours        */
    int encoding, quality, compression;
    bool lossy, last_rect;             /* lossy: the rectangle at hand may be */
    VncRect *rects;
    bool *may_lose;                    /* each of them                        */
    unsigned n_rects;
    uint32_t **pixels;                 /* of each rectangle, w * h            */
    GByteArray *head, *out;            /* rectangles that need no encoding;
                                          the message                         */
    unsigned n_head;
    VncCoder *coder;
    const PictureOps *pictures;        /* NULL: none to be had                */
    bool failed;
} VncJob;

typedef enum VncPhase {
    VNC_TLS_FIRST,                     /* TLS handshake (wss, VeNCrypt)       */
    VNC_WS_HEAD,
    VNC_VERSION, VNC_SECURITY, VNC_AUTH, VNC_INIT, VNC_RUN, VNC_GONE,
} VncPhase;

struct VncClient {
    VncServer *srv;
    int fd;
    unsigned events;
    bool websocket, tls_wanted;
    VncPhase phase;
    Obj *creds;
    TlsSession *tls;
    WebSock ws;
    GByteArray *raw_in;                /* as received, before websocket       */
    GByteArray *in, *out;
    size_t out_at;
    size_t need;                       /* bytes that `next` waits for         */
    /* Takes a message from in->data (at least need bytes). Returns bytes
     * consumed, 0 after setting need higher, -1: close. */
    ssize_t (*next)(VncClient *c, const uint8_t *p, size_t n);
    SockAddr local, remote;
    int minor;                         /* of protocol 3.x                     */
    int auth, subauth;
    bool skip_auth, shared, announced, reverse;
    uint8_t challenge[16];
    struct VncSasl *sasl;
    char *sasl_user;
    /* what it asked for */
    VncFormat format;
    int encoding, quality, compression;        /* -1: not said                */
    unsigned features;
    bool wants, wants_all;             /* an update; all of it                */
    VncRect want_rect;
    bool resize_due, cursor_due, led_due, pointer_due, format_set;
    int resize_reason, resize_status;
    int shown_w, shown_h;              /* sizes that it knows                 */
    bool absolute;                     /* mouse as it was told                */
    int last_x, last_y;                /* -1: not known                       */
    unsigned buttons;
    uint8_t down[64];                  /* keys held, by qcode                 */
    uint8_t *dirty;                    /* tiles, a byte each                  */
    uint8_t *blurred;                  /* tiles that were sent with loss      */
    VncJob *job;
    VncCoder *coder;
    Timer idle;
    VncClient *next_client;
};

typedef enum VncShare { SHARE_FORCE, SHARE_EXCLUSIVE, SHARE_IGNORE } VncShare;

typedef struct VncListener {
    VncServer *srv;
    int fd;
    bool websocket;
    SockAddr local;
} VncListener;
#define VNC_LISTENERS 8

struct VncServer {
    char *id;
    VncListener listeners[VNC_LISTENERS];
    unsigned n_listeners;
    char *unix_path[2];                /* to be removed at the end            */
    bool enabled;                      /* -vnc none: exists, listens nowhere  */
    int auth, subauth, ws_auth, ws_subauth;
    char *password;                    /* NULL: none set: nobody gets in      */
    bool password_used;
    int64_t expires;                   /* seconds since 1970; INT64_MAX: never */
    Obj *creds;
    char *own_creds;                   /* id of what tls,x509= has made       */
    char *tls_authz, *sasl_authz, *display_id;
    VncShare share;
    bool exclusive, lossy, non_adaptive, power_control, lock_key_sync;
    bool num_lock;                     /* the guest's, as far as is known     */
    unsigned connections, key_delay_ms;
    const Keymap *keymap;
    Display display;
    Surface *seen;                     /* copy of the surface as clients have
                                          been told of it; NULL: none yet     */
    int tiles_x, tiles_y;
    uint8_t *maybe;                    /* tiles the source says it changed    */
    uint8_t *heat;                     /* how often each changes, see update.c */
    int64_t cooled;                    /* when heat was last halved, ns       */
    VncClient *clients;
    unsigned n_clients;
    unsigned idle_ms;
    VncServer *next;
};

extern VncServer *vnc_servers;
extern const PictureOps *vnc_pictures; /* NULL: none                          */
VncServer *vnc_find(const char *id);   /* NULL: the first                     */

/* ---- client.c ------------------------------------------------------------ */
/* Takes fd over. */
VncClient *vnc_client_new(VncServer *s, int fd, bool websocket, bool skip_auth)
    MACHINE_CALL;
/* Ends it; it is freed when its job has come back. */
void vnc_client_end(VncClient *c) MACHINE_CALL;
void vnc_send(VncClient *c, const void *p, size_t n) MACHINE_CALL;
void vnc_send_u8(VncClient *c, uint8_t v) MACHINE_CALL;
void vnc_send_u16(VncClient *c, uint16_t v) MACHINE_CALL;
void vnc_send_u32(VncClient *c, uint32_t v) MACHINE_CALL;
size_t vnc_backlog(const VncClient *c);/* bytes not yet with the host         */
/* Waits for n bytes, then calls fn. */
void vnc_expect(VncClient *c, size_t n,
                ssize_t (*fn)(VncClient *, const uint8_t *, size_t));
/* From here on the bytes go through TLS; calls after when it stands. */
bool vnc_start_tls(VncClient *c) MACHINE_CALL;
void vnc_bytes_put(GByteArray *out, uint64_t v, unsigned size);

/* ---- auth.c: what comes before the messages ------------------------------ */
void vnc_hello(VncClient *c) MACHINE_CALL;
/* After VeNCrypt's handshake. */
void vnc_auth_go(VncClient *c, int auth) MACHINE_CALL;
/* Authentication has ended: why NULL when it succeeded. */
void vnc_auth_result(VncClient *c, const char *why) MACHINE_CALL;
/* Sets the server's security types from its options. */
void vnc_auth_setup(VncServer *s, bool password, bool sasl);

/* ---- sasl.c -------------------------------------------------------------- */
bool vnc_sasl_ready(void);
bool vnc_sasl_begin(VncClient *c) MACHINE_CALL;    /* sends the mechanisms    */
void vnc_sasl_end(VncClient *c) MACHINE_CALL;
/* Whether bytes go through SASL's own encryption from now on. */
bool vnc_sasl_layer(const VncClient *c);
bool vnc_sasl_encode(VncClient *c, const void *in, size_t n, GByteArray *out);
bool vnc_sasl_decode(VncClient *c, const void *in, size_t n, GByteArray *out);

/* ---- message.c ----------------------------------------------------------- */
ssize_t vnc_message(VncClient *c, const uint8_t *p, size_t n);
void vnc_keys_up(VncClient *c) MACHINE_CALL;

/* ---- update.c ------------------------------------------------------------ */
extern const DisplayOps vnc_display_ops;
void vnc_update_try(VncClient *c) MACHINE_CALL;
void vnc_dirty_all(VncClient *c) MACHINE_CALL;
void vnc_dirty_rect(VncClient *c, VncRect r) MACHINE_CALL;
void vnc_tiles_alloc(VncClient *c) MACHINE_CALL;
void vnc_format_default(VncFormat *f);
void vnc_interval(VncServer *s) MACHINE_CALL;      /* of the display          */
void vnc_server_drop_surface(VncServer *s) MACHINE_CALL;

/* ---- encode.c, hextile.c, zrle.c, tight.c: in a worker ------------------- */
int64_t vnc_encode(void *job);
/* One pixel as the client wants it; returns bytes. */
unsigned vnc_pixel(const VncFormat *f, uint32_t rgb, uint8_t *out);
void vnc_pixels(const VncFormat *f, bool native, const uint32_t *in, size_t n,
                uint8_t *out);
/* Deflates onto out; false: zlib failed. want: the level, VNC_HUFFMAN added for
 * bytes in which nothing will repeat. */
#define VNC_HUFFMAN 16
bool vnc_deflate(z_stream *z, bool *on, int *level, int want,
                 const void *in, size_t n, GByteArray *out);
void vnc_rect_head(VncJob *j, VncRect r, int encoding);
/* Pixels without what is above their colours; in blocks that compilers make
 * vectors of. */
static inline void vnc_dots(uint32_t *restrict to,
                            const uint32_t *restrict from, int n)
{
    for (; n >= 16; n -= 16, to += 16, from += 16) {
        for (int i = 0; i < 16; i++) {
            to[i] = from[i] & 0xffffff;
        }
    }
    for (int i = 0; i < n; i++) {
        to[i] = from[i] & 0xffffff;
    }
}
/* n bytes more at the end, not written yet. */
uint8_t *vnc_room(GByteArray *a, size_t n);
void vnc_hextile(VncJob *j, VncRect r, const uint32_t *pixels);
/* false: zlib failed. */
bool vnc_zrle(VncJob *j, VncRect r, const uint32_t *pixels);
/* Returns how many rectangles it wrote, -1: failed. */
int vnc_tight(VncJob *j, VncRect r, const uint32_t *pixels);
VncCoder *vnc_coder_new(void);
void vnc_coder_free(VncCoder *k);

/* ---- server.c, query.c --------------------------------------------------- */
bool vnc_update_addresses(const SockAddr *a, unsigned n, Error **errp)
    MACHINE_CALL;
void vnc_event_connected(VncClient *c) MACHINE_CALL;
void vnc_event_initialized(VncClient *c) MACHINE_CALL;
void vnc_event_disconnected(VncClient *c) MACHINE_CALL;
void vnc_exit(void) MACHINE_CALL;

#endif

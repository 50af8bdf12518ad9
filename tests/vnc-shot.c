/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnc-shot PORT ENCODING OUT.ppm: a picture of what a VNC server on this host
 * shows, by libvncclient. Password, user and CA file come from $VNC_PASSWORD,
 * $VNC_USER and $VNC_CA. tests/func/vnc-clients.py builds it where the library
 * is installed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rfb/rfbclient.h>

static long seen;                      /* pixels that have been updated       */

static char *copy_of(const char *name)
{
    const char *s = getenv(name);

    return s ? strdup(s) : NULL;
}

static char *password(rfbClient *c)
{
    return copy_of("VNC_PASSWORD");
}

static char *user(rfbClient *c)
{
    return copy_of("VNC_USER");
}

static rfbCredential *credential(rfbClient *c, int type)
{
    rfbCredential *r = calloc(1, sizeof(*r));

    if (type == rfbCredentialTypeX509) {
        r->x509Credential.x509CACertFile = copy_of("VNC_CA");
    } else {
        r->userCredential.username = copy_of("VNC_USER");
        r->userCredential.password = copy_of("VNC_PASSWORD");
    }
    return r;
}

static void updated(rfbClient *c, int x, int y, int w, int h)
{
    seen += (long)w * h;
}

static int write_ppm(const rfbClient *c, const char *path)
{
    FILE *f = fopen(path, "wb");

    if (!f) {
        return 1;
    }
    fprintf(f, "P6\n%d %d\n255\n", c->width, c->height);
    for (long i = 0; i < (long)c->width * c->height; i++) {
        const uint8_t *p = c->frameBuffer + i * 4;

        fwrite((const uint8_t[]){ p[2], p[1], p[0] }, 1, 3, f);
    }
    return fclose(f) != 0;
}

int main(int argc, char **argv)
{
    rfbClient *c = rfbGetClient(8, 3, 4);
    time_t end = time(NULL) + 60;

    if (argc != 4) {
        return 2;
    }
    c->format.redShift = 16;
    c->format.greenShift = 8;
    c->format.blueShift = 0;
    c->GetPassword = password;
    c->GetUser = user;
    c->GetCredential = credential;
    c->GotFrameBufferUpdate = updated;
    c->appData.encodingsString = argv[2];
    c->appData.enableJPEG = FALSE;
    c->appData.compressLevel = 3;
    c->serverHost = strdup("127.0.0.1");
    c->serverPort = atoi(argv[1]);
    if (!rfbInitClient(c, NULL, NULL)) {
        return 1;
    }
    while (seen < (long)c->width * c->height && time(NULL) < end) {
        if (WaitForMessage(c, 500000) < 0 || !HandleRFBServerMessage(c)) {
            return 1;
        }
    }
    return seen < (long)c->width * c->height || write_ppm(c, argv[3]);
}

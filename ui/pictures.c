/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pictures.c - PNG by libpng, JPEG by libjpeg: the module "ui-pictures".
 *
 * Thread class: any.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <png.h>
#include "config.h"
#include "ui/pictures.h"
#ifdef CONFIG_JPEG
#include <jpeglib.h>
#endif

static void rgb(const void *pixels, size_t y, int w, int stride, uint8_t *out)
{
    const uint32_t *p = (const void *)((const uint8_t *)pixels +
                                       y * (size_t)stride);

    for (int x = 0; x < w; x++) {
        *out++ = (uint8_t)(p[x] >> 16);
        *out++ = (uint8_t)(p[x] >> 8);
        *out++ = (uint8_t)p[x];
    }
}

static void png_out(png_structp png, png_bytep data, png_size_t n)
{
    g_byte_array_append(png_get_io_ptr(png), data, (unsigned)n);
}

static void png_flushed(png_structp png)
{
}

static bool make_png(GByteArray *out, const void *pixels, int w, int h,
                     int stride, int level)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL,
                                              NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    uint8_t *volatile line = NULL;

    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        g_free(line);
        return false;
    }
    line = g_malloc((size_t)w * 3);
    png_set_write_fn(png, out, png_out, png_flushed);
    if (level >= 0) {
        png_set_compression_level(png, level);
    }
    png_set_IHDR(png, info, (unsigned)w, (unsigned)h, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < h; y++) {
        rgb(pixels, (size_t)y, w, stride, line);
        png_write_row(png, line);
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    g_free(line);
    return true;
}

#ifdef CONFIG_JPEG
typedef struct JpegError {
    struct jpeg_error_mgr mgr;
    jmp_buf back;
} JpegError;

static void jpeg_failed(j_common_ptr c)
{
    longjmp(((JpegError *)(void *)c->err)->back, 1);
}

static bool make_jpeg(GByteArray *out, const void *pixels, int w, int h,
                      int stride, int quality)
{
    struct jpeg_compress_struct c;
    JpegError err;
    unsigned char *data = NULL, **volatile where = &data;
    unsigned long n = 0;
    uint8_t *volatile line = NULL;

    c.err = jpeg_std_error(&err.mgr);
    err.mgr.error_exit = jpeg_failed;
    if (setjmp(err.back)) {
        jpeg_destroy_compress(&c);
        free(*where);
        g_free(line);
        return false;
    }
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &data, &n);
    c.image_width = (unsigned)w;
    c.image_height = (unsigned)h;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality, true);
    jpeg_start_compress(&c, true);
    line = g_malloc((size_t)w * 3);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = line;

        rgb(pixels, c.next_scanline, w, stride, line);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    g_byte_array_append(out, data, (unsigned)n);
    free(data);
    g_free(line);
    return true;
}
#endif

extern const PictureOps picture_module;
const PictureOps picture_module = {
    .png = make_png,
#ifdef CONFIG_JPEG
    .jpeg = make_jpeg,
#endif
};

/* A webcam's driver, as far as it can be asked: preloaded, it answers V4L2's ioctls on plain files.
   The first byte of the file says what it is: D, with a list of sizes; S, with a range of sizes;
   M, a node for metadata. The layout of all answers is that of the kernel's own header. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int end(void) { errno = EINVAL; return -1; }

static int capability(struct v4l2_capability *to, char kind) {
    memset(to, 0, sizeof *to);
    strcpy((char *)to->card, "a webcam");
    to->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_META_CAPTURE | V4L2_CAP_DEVICE_CAPS;
    to->device_caps = kind == 'M' ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE;
    return 0;
}

static int format(struct v4l2_fmtdesc *to, char kind) {
    if (to->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || to->index > (kind == 'D')) return end();
    to->pixelformat = to->index ? V4L2_PIX_FMT_MJPEG : V4L2_PIX_FMT_YUYV;
    return 0;
}

static int size(struct v4l2_frmsizeenum *to, char kind) {
    if (kind == 'S') {
        if (to->index) return end();
        to->type = V4L2_FRMSIZE_TYPE_STEPWISE;
        to->stepwise = (struct v4l2_frmsize_stepwise){32, 1920, 2, 16, 1080, 4};
        return 0;
    }
    if (to->index > (to->pixel_format == V4L2_PIX_FMT_MJPEG)) return end();
    to->type = V4L2_FRMSIZE_TYPE_DISCRETE;
    to->discrete.width = to->index ? 1920 : 640;
    to->discrete.height = to->index ? 1080 : 480;
    return 0;
}

static int interval(struct v4l2_frmivalenum *to, char kind) {
    if (kind == 'S') {
        if (to->index || to->width != 1920 || to->height != 1080) return end();
        to->type = V4L2_FRMIVAL_TYPE_CONTINUOUS;
        to->stepwise.min = (struct v4l2_fract){1, 60};
        to->stepwise.max = (struct v4l2_fract){1, 1};
        to->stepwise.step = (struct v4l2_fract){1, 1};
        return 0;
    }
    if (to->index > (to->width == 640)) return end();
    to->type = V4L2_FRMIVAL_TYPE_DISCRETE;
    to->discrete = to->index ? (struct v4l2_fract){2, 15} : (struct v4l2_fract){1, 30};
    return 0;
}

int ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *to = va_arg(list, void *);
    va_end(list);
    char kind = 0;
    request &= 0xFFFFFFFF; /* Python's is a signed int */
    if ((request >> 8 & 0xFF) == 'V' && pread(fd, &kind, 1, 0) == 1) {
        if (request == VIDIOC_QUERYCAP) return capability(to, kind);
        if (request == VIDIOC_ENUM_FMT) return format(to, kind);
        if (request == VIDIOC_ENUM_FRAMESIZES) return size(to, kind);
        if (request == VIDIOC_ENUM_FRAMEINTERVALS) return interval(to, kind);
    }
    int (*real)(int, unsigned long, void *) = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, to);
}

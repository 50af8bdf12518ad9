hw-y += hw/core/device.o
hw-y += hw/core/device-add.o
hw-y += hw/core/bus.o
hw-y += hw/core/reset.o
hw-y += hw/core/gpio.o
hw-y += hw/core/global.o
hw-y += hw/core/help.o
hw-y += hw/core/qtree.o

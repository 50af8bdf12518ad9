hw-y += hw/isa/bus.o

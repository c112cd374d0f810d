// Draws a box on an image with the mouse, a finger or a pen, and says where it is, in fractions of the image.
export function listen(image, card) {
    const box = image.querySelector('.box');
    let from, before;
    const at = event => {
        const all = image.getBoundingClientRect();
        const within = (value, start, length) => Math.min(1, Math.max(0, (value - start) / length));
        return [within(event.clientX, all.left, all.width), within(event.clientY, all.top, all.height)];
    };
    const between = to => [
        Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.abs(from[0] - to[0]), Math.abs(from[1] - to[1])];
    image.onpointerdown = event => {
        event.preventDefault();
        image.setPointerCapture(event.pointerId);
        [from, before] = [at(event), box.getAttribute('style')];
    };
    image.onpointermove = event => {
        if (from) {
            const [left, top, width, height] = between(at(event)).map(value => `${value * 100}%`);
            Object.assign(box.style, { left, top, width, height, display: 'block' });
        }
    };
    image.onpointercancel = () => {
        box.setAttribute('style', before);
        from = undefined;
    };
    image.onpointerup = event => {
        if (!from) {
            return;
        }

        const drawn = between(at(event));
        box.setAttribute('style', before);
        from = undefined;
        if (drawn[2] > 0.02 && drawn[3] > 0.02) {
            card.invokeMethodAsync('Place', ...drawn);
        }
    };
}

const form = document.querySelector("form");
document.getElementById("save").addEventListener("click", () => {
  const answers = [...new FormData(form)].map(([name, choice]) => {
    const [pair, question] = name.split(" ");
    return { pair, question, choice };
  });
  const participant = crypto.getRandomValues(new Uint32Array(1))[0].toString(16);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify({ participant, answers }, null, 1)], { type: "application/json" }));
  link.download = `answers-${participant}.json`;
  link.click();
});
